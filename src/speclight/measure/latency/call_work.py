"""The work of a call, read off a model's parameters and config."""

from __future__ import annotations

from typing import Any

from torch import nn

from speclight.measure.latency.roofline import CallWork
from speclight.models.causal_lm import CausalLM
from speclight.models.packed_weights import bytes_to_read

OPERATIONS_PER_WEIGHT = 2  # a product and a sum
# Names that configs of mixtures of experts have for how many experts there are.
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def call_work(model: CausalLM) -> CallWork | None:
    """The work of a target's call; None for a mixture of experts, whose reads depend on its tokens.

    Rows of an embedding are looked up, not read as a whole; an output matrix tied to it is read. Of weights
    in codes these are read, as a call of few positions does (`compiled_rows`).
    """
    config = model.model.config.get_text_config()
    if has_experts(config):
        return None
    output = model.model.get_output_embeddings()
    looked_up = {
        id(module.weight)
        for module in model.model.modules()
        if isinstance(module, nn.Embedding) and (output is None or module.weight is not output.weight)
    }
    is_streamed = model.loaded.offload is not None
    read = [weight for weight in model.model.parameters() if id(weight) not in looked_up]
    heads: int = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    sliding = _sliding_layers(config, model)
    return CallWork(
        weight_bytes=sum(map(bytes_to_read, read)),
        streamed_bytes=sum(
            weight.numel() * weight.element_size() for weight in read if is_streamed and weight.is_meta
        ),
        node_flops=float(OPERATIONS_PER_WEIGHT * sum(weight.numel() for weight in read if weight.dim() > 1)),
        kv_bytes=2 * key_heads * head_size * model.model.dtype.itemsize,
        attention_flops=float(2 * OPERATIONS_PER_WEIGHT * heads * head_size),
        full_layers=model.layers - sliding,
        sliding_layers=sliding,
        window=model.attention.window or 0,
    )


def has_experts(config: Any) -> bool:
    """Whether a (text) config is of a mixture of experts."""
    return any((getattr(config, name, None) or 0) > 1 for name in EXPERTS)


def _sliding_layers(config: Any, model: CausalLM) -> int:
    if model.attention.window is None:
        return 0
    kinds = getattr(config, "layer_types", None)
    return model.layers if kinds is None else kinds.count("sliding_attention")
