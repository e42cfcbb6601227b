"""The families of EAGLE checkpoints, and the sizes and decoder layers that their configs state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import LlamaConfig, Qwen3Config

from speclight.drafting.eagle3.conventions import HeadSizes
from speclight.drafting.eagle3.tensor_names import HeadTensors
from speclight.drafting.head_config import HeadConfig
from speclight.errors import CorruptWeights, InvalidInput

SAFEAILAB, SPECFORGE, SPECULATORS, EAGLE_1_2 = "SafeAILab", "SpecForge", "speculators", "EAGLE-1 and 2"
LAYER_SECTION, EAGLE_SECTION = "transformer_layer_config", "eagle_config"
# What a Llama config may say about a decoder layer besides its sizes and its rotary embedding.
LAYER_KEYS = ("rms_norm_eps", "hidden_act", "mlp_bias", "max_position_embeddings")
# Speculators leave out what equals these classes' defaults.
LAYER_CLASSES = {"llama": LlamaConfig, "qwen3": Qwen3Config}
QUERY_PROJECTION = "midlayer.self_attn.q_proj.weight"


@dataclass(frozen=True, slots=True)
class LayerChoices:
    """What a config says of its decoder layers besides sizes. windows: see Conventions."""

    config: LlamaConfig
    windows: tuple[int | None, ...]
    has_query_biases: bool
    has_output_bias: bool


def dialect_of(config: HeadConfig, tensors: HeadTensors) -> str:
    """The family a head belongs to. Raises InvalidInput for a head that is none of EAGLE's."""
    if "midlayer.hidden_norm.weight" not in tensors and "fc.weight" not in tensors:
        raise InvalidInput(
            "got weights with neither fc nor the hidden_norm of a first layer, expected a head of EAGLE-1, 2 "
            "or 3; give the head's folder, not the target's"
        )
    kind = config.get("speculators_model_type")
    if kind is not None:
        if kind != "eagle3":
            raise InvalidInput(f"got a speculators model of type {kind!r}, expected eagle3")
        return SPECULATORS
    queries = tensors.tensors.get(QUERY_PROJECTION)
    if "midlayer.hidden_norm.weight" not in tensors and queries is not None:
        # EAGLE-3's first attention reads embedding and state side by side.
        if queries.dim() == 2 and queries.shape[1] == config.size("hidden_size"):
            return EAGLE_1_2
    architectures = config.get("architectures")
    named = isinstance(architectures, list) and any("eagle3" in str(name).lower() for name in architectures)
    return SPECFORGE if named or EAGLE_SECTION in config else SAFEAILAB


def layer_section(dialect: str, config: HeadConfig) -> HeadConfig:
    """The part of the config on the decoder layers. Raises CorruptWeights if there is none."""
    if dialect != SPECULATORS:
        return config
    section = config.section(LAYER_SECTION)
    if section is None:
        raise CorruptWeights(f"config.json has no {LAYER_SECTION}, expected one ({dialect})")
    return section


def read_sizes(dialect: str, config: HeadConfig, tensors: HeadTensors) -> HeadSizes:
    """Sizes as the config states them.

    Raises CorruptWeights for a missing or non-integer size, InvalidInput for a layer of an unknown make.
    """
    layer = layer_section(dialect, config)
    unstated = _unstated_sizes(dialect, layer, tensors)
    hidden = layer.size("hidden_size", unstated.get("hidden_size"))
    heads = layer.size("num_attention_heads", unstated.get("num_attention_heads"))
    vocabulary = layer.size("vocab_size", unstated.get("vocab_size"))
    return HeadSizes(
        hidden=hidden,
        target_hidden=config.size("target_hidden_size", hidden),
        intermediate=layer.size("intermediate_size", unstated.get("intermediate_size")),
        heads=heads,
        kv_heads=layer.size("num_key_value_heads", unstated.get("num_key_value_heads", heads)),
        head_size=layer.size("head_dim", unstated.get("head_dim", hidden // heads)),
        vocabulary=vocabulary,
        draft_vocabulary=config.size("draft_vocab_size", vocabulary),
        decoder_layers=layer.size("num_hidden_layers", unstated.get("num_hidden_layers", 1)),
    )


def _unstated_sizes(dialect: str, layer: HeadConfig, tensors: HeadTensors) -> dict[str, int]:
    """What is meant where a size is left out: in speculators' files the default of Transformers' class."""
    if dialect != SPECULATORS:
        return {}
    has_norms = "midlayer.self_attn.q_norm.weight" in tensors
    kind = layer.get("model_type") or ("qwen3" if has_norms else "llama")
    if kind not in LAYER_CLASSES:
        raise InvalidInput(
            f"got a head of {kind} layers, expected one of {' or '.join(LAYER_CLASSES)} (speculators)"
        )
    if layer.get("model_type") is None:
        return {}
    unstated = LAYER_CLASSES[str(kind)]().to_dict()
    if kind == "llama":  # its key-value heads and head size follow from the other sizes
        del unstated["num_key_value_heads"], unstated["head_dim"]
    return {key: value for key, value in unstated.items() if type(value) is int}


def read_layers(dialect: str, config: HeadConfig, sizes: HeadSizes) -> LayerChoices:
    """The decoder layers. Raises CorruptWeights for what is malformed, InvalidInput for what is not read."""
    layer = layer_section(dialect, config)
    kinds = _layer_kinds(layer, sizes.decoder_layers)
    stated: dict[str, Any] = {key: layer.get(key) for key in LAYER_KEYS if key in layer}
    output_bias = layer.flag("attention_bias")
    return LayerChoices(
        config=LlamaConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.hidden,
            intermediate_size=sizes.intermediate,
            num_hidden_layers=sizes.decoder_layers,
            num_attention_heads=sizes.heads,
            num_key_value_heads=sizes.kv_heads,
            head_dim=sizes.head_size,
            attention_bias=output_bias,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
            **stated,
            **_rotary(layer, kinds[0]),
        ),
        windows=_windows(layer, kinds),
        # Qwen2's kind of bias: on queries, keys and values alone.
        has_query_biases=layer.flag("qkv_bias", default=output_bias),
        has_output_bias=output_bias,
    )


def _layer_kinds(layer: HeadConfig, count: int) -> list[str]:
    stated = layer.get("layer_types")
    use_window = layer.flag("use_sliding_window")
    if stated is None:
        if use_window:
            raise InvalidInput(
                "config.json says use_sliding_window = True without layer_types, which layers slide is not "
                "stated; expected layer_types with one entry for each decoder layer"
            )
        return ["full_attention"] * count
    known = ("full_attention", "sliding_attention")
    if not isinstance(stated, list) or len(stated) < count or not all(kind in known for kind in stated):
        raise InvalidInput(
            f"config.json says layer_types = {stated!r:.80}, expected full_attention or sliding_attention "
            f"for each of {count} decoder layers"
        )
    return stated[:count]


def _windows(layer: HeadConfig, kinds: list[str]) -> tuple[int | None, ...]:
    window = layer.get("sliding_window")
    if "sliding_attention" not in kinds:
        return ()
    if type(window) is not int or window < 1:
        raise CorruptWeights(
            f"config.json has sliding_attention layers and sliding_window = {window!r}, expected how many "
            "positions they see; repair it"
        )
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _rotary(layer: HeadConfig, kind: str) -> dict[str, Any]:
    """The rotary embedding as LlamaConfig takes it, for layers of one kind.

    Multimodal sections (mrope) turn text positions as the default does. Raises InvalidInput for embeddings
    that leave part of each head unturned.
    """
    stated: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        value = layer.get(key)
        if isinstance(value, dict) and kind in value:  # one for each kind of layer
            value = value[kind]
        if isinstance(value, dict):
            if value.get("partial_rotary_factor", 1.0) != 1.0:
                raise InvalidInput(
                    f"config.json says partial_rotary_factor = {value['partial_rotary_factor']}, expected 1: "
                    "heads that turn only part of each head's numbers are not read"
                )
            if "mrope_section" in value:
                value = {"rope_type": "default"} | {k: v for k, v in value.items() if k == "rope_theta"}
            stated[key] = value
    base = layer.get("rope_theta")
    return stated if base is None else {**stated, "rope_theta": base}
