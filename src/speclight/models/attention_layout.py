"""Which slots a model's layers look at, and whether its layers can look along the branches of a tree."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedConfig, PreTrainedModel

from speclight.errors import InvalidInput

LayerKind = Literal["full_attention", "sliding_attention"]
# Families of attention implementations that know causal masks (or masks of their own kind) only.
UNMASKED_IMPLEMENTATIONS = ("flash", "flex", "paged")
# What tree attention hands to a model's forward pass.
NEEDED_ARGUMENTS = ("attention_mask", "position_ids", "past_key_values", "logits_to_keep")


@dataclass(frozen=True, slots=True)
class AttentionLayout:
    """The attention of a model's layers.

    kinds: "full_attention" layers see all of a token's past, "sliding_attention" layers the last `window`
    positions of it, the token's own included. Both kinds together take one mask each. window: None where no
    layer slides.
    """

    kinds: frozenset[LayerKind]
    window: int | None


def attention_layout(model: PreTrainedModel) -> AttentionLayout:
    """The layout of a model whose layers all attend, to a whole past or to a window of it.

    Raises InvalidInput, saying why, for models that a tree cannot be scored with in one call: encoder-decoder
    models, layers with a running state (a state belongs to one branch), attention in chunks or along no
    mask, keys shared between layers, positions taken from anything but `position_ids`.
    """
    config = model.config.get_text_config()
    reason = _why_not(model, config)
    if reason is not None:
        raise InvalidInput(
            f"got a {type(model).__name__} {reason}; expected a decoder-only model whose layers attend to "
            "the whole past or a sliding window of it, loaded with the sdpa or eager attention"
        )
    kinds: list[str] | None = getattr(config, "layer_types", None)
    window: int | None = getattr(config, "sliding_window", None)
    if kinds is None:  # Transformers' own reading of such a config (masking_utils, create_masks_for_generate)
        kinds = ["full_attention" if window is None else "sliding_attention"]
    found = frozenset[LayerKind]({kind for kind in _KINDS if kind in kinds})
    return AttentionLayout(found, window if "sliding_attention" in found else None)


_KINDS: tuple[LayerKind, ...] = ("full_attention", "sliding_attention")


def _why_not(model: PreTrainedModel, config: PreTrainedConfig) -> str | None:
    """What stands in the way, to follow "got a <model>"; None if nothing does."""
    arguments = inspect.signature(model.forward).parameters
    missing = [name for name in NEEDED_ARGUMENTS if name not in arguments]
    strange = sorted(set(getattr(config, "layer_types", None) or ()) - set(_KINDS))
    implementation = str(getattr(config, "_attn_implementation", None))
    obstacles = {
        "which is an encoder-decoder model": model.config.is_encoder_decoder,
        f"with layers of the kinds {', '.join(strange)}": bool(strange),
        "whose layers carry a running state": getattr(model, "_is_stateful", False),
        "which attends in chunks": getattr(config, "attention_chunk_size", None) is not None and not strange,
        "which also attends to later tokens": bool(getattr(config, "use_bidirectional_attention", False)),
        "whose layers keep a window in their own code": "local" in getattr(config, "attention_layers", ()),
        "which biases attention by distance (ALiBi)": bool(getattr(config, "alibi", False)),
        "whose layers share keys": bool(getattr(config, "num_kv_shared_layers", 0)),
        f"whose forward pass does not take {', '.join(missing)}": bool(missing),
        f"with the attention {implementation}, which takes no mask of a tree": any(
            family in implementation for family in UNMASKED_IMPLEMENTATIONS
        ),
    }
    return next((reason for reason, is_met in obstacles.items() if is_met), None)
