"""Where an EAGLE-3 head starts training: as close to the target as its shapes allow."""

from __future__ import annotations

import torch
from transformers import LlamaConfig

from speclight.drafting.eagle3.conventions import Conventions, HeadSizes, default_layers
from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.target_matrices import embedding_matrix
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


def blank_head(target: CausalLM, draft_vocabulary: int) -> Eagle3Network:
    """A head for this target with the target's embedding, which is not trained; all else is random."""
    sizes = head_sizes(target, draft_vocabulary)
    network = Eagle3Network(sizes, Conventions(default_layers(target.layers)), layer_config(target, sizes))
    with torch.no_grad():
        network.embed_tokens.weight.copy_(embedding_matrix(target))
    network.embed_tokens.requires_grad_(False)
    return network
