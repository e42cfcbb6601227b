"""Rotary positions whose frequencies depend on how long a call's texts are."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedConfig


def steady_window(config: PreTrainedConfig) -> int:
    """The longest text, in tokens, up to which every position's rotary frequencies stay what they are.

    Transformers 5 sets two kinds of rotary embedding by the largest position of a call
    (modeling_rope_utils, dynamic_rope_update). "longrope" changes all positions' factors at once past
    `original_max_position_embeddings`, so keys in a cache turn wrong there, and a draft that reaches past it
    would change what is before it. "dynamic" changes them past `max_position_embeddings`, where no text goes
    anyway. All other kinds ("linear", "yarn", "llama3", "proportional") are set once.
    """
    window: int = config.max_position_embeddings
    parameters = getattr(config, "rope_parameters", None) or {}
    by_kind = [
        value for value in parameters.values() if isinstance(value, Mapping)
    ]  # one for each layer kind
    for rope in by_kind or [parameters]:
        if rope.get("rope_type") == "longrope":
            original = rope.get("original_max_position_embeddings")
            window = min(window, original or window)
    return window
