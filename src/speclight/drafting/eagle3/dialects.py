"""The three dialects of EAGLE-3 checkpoints, and how each one's config is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import LlamaConfig

from speclight.drafting.eagle3.conventions import Conventions, HeadSizes, default_layers
from speclight.errors import CorruptWeights, InvalidInput

SPECULATORS_LAYER = "layers.0."
EAGLE_LAYER = "midlayer."
# What a Llama config may say about the decoder layer besides its sizes.
LAYER_KEYS = (
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "hidden_act",
    "attention_bias",
    "mlp_bias",
    "max_position_embeddings",
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family of checkpoints. layer_prefix: of the decoder layer's tensors. conventions: from its config
    and the number of the target's layers. layer_section: key of the config's part on the decoder layer.
    """

    name: str
    layer_prefix: str
    conventions: Callable[[Mapping[str, object], int], Conventions]
    layer_section: str | None = None


def _safeailab(config: Mapping[str, object], target_layers: int) -> Conventions:
    return Conventions(default_layers(target_layers), has_fusion_bias=_flag(config, "bias"))


def _specforge(config: Mapping[str, object], target_layers: int) -> Conventions:
    eagle = config.get("eagle_config") or {}
    if not isinstance(eagle, Mapping):
        raise CorruptWeights(f"eagle_config is {eagle!r}, expected an object; repair config.json")
    # It counts the layers whose output is taken, so one less than the layer that the state enters.
    stated = _layer_ids(eagle, "eagle_aux_hidden_state_layer_ids")
    return Conventions(
        default_layers(target_layers) if stated is None else tuple(layer + 1 for layer in stated),
        norm_before_output=_flag(config, "norm_output", default=True),
        has_layer_norms=_flag(config, "fc_norm"),
    )


def _speculators(config: Mapping[str, object], target_layers: int) -> Conventions:
    stated = _layer_ids(config, "eagle_aux_hidden_state_layer_ids")
    return Conventions(
        default_layers(target_layers) if stated is None else stated,
        residual_after_norm=_flag(config, "norm_before_residual"),
        normed_recurrence=_flag(config, "norm_output"),
        has_input_norm=_flag(config, "norm_before_fc"),
        has_layer_norms=_flag(config, "fc_norm"),
    )


SAFEAILAB = Dialect("SafeAILab", EAGLE_LAYER, _safeailab)
SPECFORGE = Dialect("SpecForge", EAGLE_LAYER, _specforge)
SPECULATORS = Dialect("speculators", SPECULATORS_LAYER, _speculators, "transformer_layer_config")


def dialect_of(config: Mapping[str, object]) -> Dialect:
    """The dialect a config is written in. Raises InvalidInput for a head that is not EAGLE-3."""
    kind = config.get("speculators_model_type")
    if kind is not None:
        if kind != "eagle3":
            raise InvalidInput(f"got a speculators model of type {kind!r}, expected eagle3")
        return SPECULATORS
    architectures = config.get("architectures")
    if architectures == ["LlamaForCausalLMEagle3"]:
        return SPECFORGE
    if "draft_vocab_size" in config:
        return SAFEAILAB
    raise InvalidInput(
        f"config.json (architectures {architectures}) states neither draft_vocab_size nor "
        "speculators_model_type, expected an EAGLE-3 head; heads of EAGLE-1 and 2 are of another "
        "make and not read"
    )


def read_sizes(dialect: Dialect, config: Mapping[str, object]) -> tuple[HeadSizes, LlamaConfig]:
    """Sizes and decoder layer as the config states them.

    Raises CorruptWeights for a missing or non-integer size, InvalidInput for more than one decoder layer.
    """
    layer: object = config if dialect.layer_section is None else config.get(dialect.layer_section)
    if not isinstance(layer, Mapping):
        raise CorruptWeights(f"config.json has no {dialect.layer_section}, expected one ({dialect.name})")
    if layer.get("num_hidden_layers", 1) != 1:
        raise InvalidInput(f"got a head of {layer['num_hidden_layers']} decoder layers, expected one")
    hidden, heads = _size(layer, "hidden_size"), _size(layer, "num_attention_heads")
    vocabulary = _size(layer, "vocab_size")
    sizes = HeadSizes(
        hidden=hidden,
        target_hidden=_size(config, "target_hidden_size", default=hidden),
        intermediate=_size(layer, "intermediate_size"),
        heads=heads,
        kv_heads=_size(layer, "num_key_value_heads", default=heads),
        head_size=_size(layer, "head_dim", default=hidden // heads),
        vocabulary=vocabulary,
        draft_vocabulary=_size(config, "draft_vocab_size", default=vocabulary),
    )
    stated: dict[str, Any] = {key: layer[key] for key in LAYER_KEYS if layer.get(key) is not None}
    return sizes, LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.intermediate,
        num_hidden_layers=1,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_size,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **stated,
    )


def _size(config: Mapping[str, object], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool):
        raise CorruptWeights(f"{key} in config.json is {value!r}, expected a whole number; repair it")
    return value


def _flag(config: Mapping[str, object], key: str, *, default: bool = False) -> bool:
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise CorruptWeights(f"{key} in config.json is {value!r}, expected true or false; repair it")
    return value


def _layer_ids(config: Mapping[str, object], key: str) -> tuple[int, ...] | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(layer, int) for layer in value):
        raise CorruptWeights(
            f"{key} in config.json is {value!r}, expected a list of layer numbers; repair it"
        )
    return tuple(value)
