"""Where an EAGLE-3 head starts training: as close to the target as its shapes allow."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig

from speclight.drafting.eagle3.conventions import Conventions, HeadSizes, default_layers
from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.target_matrices import embedding_matrix, output_matrix
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM


def head_sizes(target: CausalLM, draft_vocabulary: int) -> HeadSizes:
    """One layer as wide as the target's, with a key-value head for every attention head.

    A head sees the newest token only through its keys and values, so grouping them would narrow that path.
    Raises InvalidInput for a target whose config does not name its sizes as a Llama's does.
    """
    config = target.model.config.get_text_config()
    try:
        heads = config.num_attention_heads
        return HeadSizes(
            hidden=config.hidden_size,
            target_hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            heads=heads,
            kv_heads=heads,
            head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
            vocabulary=config.vocab_size,
            draft_vocabulary=draft_vocabulary,
        )
    except AttributeError as error:
        raise InvalidInput(f"{target.name} is no Llama-like decoder ({error}), expected one") from error


def layer_config(target: CausalLM, sizes: HeadSizes) -> LlamaConfig:
    """The decoder layer as Transformers describes a Llama; norm epsilon and rotary base are the target's."""
    config = target.model.config.get_text_config()
    return LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.intermediate,
        num_hidden_layers=1,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_size,
        max_position_embeddings=target.context_window,
        rms_norm_eps=config.rms_norm_eps,
        rope_parameters=dict(config.rope_parameters),
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def started_from_target(
    target: CausalLM, target_ids: torch.Tensor, feature_scale: torch.Tensor
) -> Eagle3Network:
    """A head whose layer, last norm and output matrix are the target's, reading the last layer asked for.

    target_ids: [draft vocabulary]. feature_scale: [layers * hidden] typical size of each feature; the head's
    states are in units of the median size of the last layer's, so that all weights start of order one.
    The half of the projections that reads the token embedding starts at random.
    """
    sizes = head_sizes(target, len(target_ids))
    network = Eagle3Network(sizes, Conventions(default_layers(target.layers)), layer_config(target, sizes))
    decoder: Any = target.model.get_decoder()  # Llama-like, as head_sizes has checked
    layer, ours, hidden = decoder.layers[-1], network.midlayer, sizes.hidden
    unit = float(feature_scale[-hidden:].median())
    with torch.no_grad():
        network.embed_tokens.weight.copy_(embedding_matrix(target))
        network.lm_head.weight.copy_(output_matrix(target)[target_ids])
        network.norm.weight.copy_(decoder.norm.weight)
        network.fc.weight.zero_()
        network.fc.weight[:, -hidden:] = torch.eye(hidden) / unit
        for name in ("q_proj", "k_proj", "v_proj"):
            weight = getattr(layer.self_attn, name).weight
            mine = getattr(ours.self_attn, name).weight
            repeats = len(mine) // len(weight)
            grouped = weight.view(-1, sizes.head_size, hidden).repeat_interleave(repeats, dim=0)
            mine[:, hidden:] = grouped.reshape(-1, hidden)
            torch.nn.init.normal_(mine[:, :hidden], std=float(weight.std()) / 2)
        ours.self_attn.o_proj.weight.copy_(layer.self_attn.o_proj.weight / unit)
        ours.hidden_norm.weight.copy_(layer.input_layernorm.weight)
        ours.post_attention_layernorm.weight.copy_(layer.post_attention_layernorm.weight)
        for name in ("gate_proj", "up_proj", "down_proj"):
            weight = getattr(layer.mlp, name).weight
            getattr(ours.mlp, name).weight.copy_(weight / unit if name == "down_proj" else weight)
    network.embed_tokens.requires_grad_(False)
    return network
