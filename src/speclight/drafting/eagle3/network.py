"""The arithmetic of an EAGLE-3 head, shared by drafting and training; attention is left to the caller."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import (
    LlamaMLP,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
)

from speclight.drafting.eagle3.conventions import Conventions, HeadSizes


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """What the attention of one pass works on.

    residual: [batch, new, hidden]. queries: [batch, heads, new, head size], keys and values likewise with
    key-value heads; queries and keys are rotated to their positions.
    """

    residual: torch.Tensor
    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor


class _Attention(nn.Module):
    """The four projections; named as the checkpoints name them."""

    def __init__(self, sizes: HeadSizes, bias: bool) -> None:
        super().__init__()
        query, key = sizes.heads * sizes.head_size, sizes.kv_heads * sizes.head_size
        self.q_proj = nn.Linear(2 * sizes.hidden, query, bias=bias)
        self.k_proj = nn.Linear(2 * sizes.hidden, key, bias=bias)
        self.v_proj = nn.Linear(2 * sizes.hidden, key, bias=bias)
        self.o_proj = nn.Linear(query, sizes.hidden, bias=bias)


class _DecoderLayer(nn.Module):
    def __init__(self, sizes: HeadSizes, config: LlamaConfig) -> None:
        super().__init__()
        eps = config.rms_norm_eps
        self.self_attn = _Attention(sizes, bool(config.attention_bias))
        self.mlp = LlamaMLP(config)
        self.input_layernorm = LlamaRMSNorm(sizes.hidden, eps=eps)
        self.hidden_norm = LlamaRMSNorm(sizes.hidden, eps=eps)
        self.post_attention_layernorm = LlamaRMSNorm(sizes.hidden, eps=eps)


class Eagle3Network(nn.Module):
    """Parameters are named as in the EAGLE authors' checkpoints; `embed_tokens` may be the target's own.

    config: of the decoder layer, as Transformers describes a Llama (sizes, rotary embedding, eps, bias).
    """

    def __init__(self, sizes: HeadSizes, conventions: Conventions, config: LlamaConfig) -> None:
        super().__init__()
        self.sizes, self.conventions, self.config = sizes, conventions, config
        eps, fused = config.rms_norm_eps, len(conventions.layers) * sizes.target_hidden
        self.embed_tokens = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.fc = nn.Linear(fused, sizes.hidden, bias=conventions.has_fusion_bias)
        if conventions.has_input_norm:
            self.input_norm = LlamaRMSNorm(fused, eps=eps)
        if conventions.has_layer_norms:
            self.fc_norm = nn.ModuleList(
                LlamaRMSNorm(sizes.target_hidden, eps=eps) for _ in conventions.layers
            )
        self.midlayer = _DecoderLayer(sizes, config)
        self.norm = LlamaRMSNorm(sizes.hidden, eps=eps)
        self.lm_head = nn.Linear(sizes.hidden, sizes.draft_vocabulary, bias=False)
        self.rotary = LlamaRotaryEmbedding(config)

    def fuse(self, features: torch.Tensor) -> torch.Tensor:
        """[..., layers * target hidden] states of the target -> [..., hidden] first state of the head."""
        if self.conventions.has_layer_norms:
            blocks = features.split(self.sizes.target_hidden, dim=-1)
            features = torch.cat(
                [norm(block) for norm, block in zip(self.fc_norm, blocks, strict=True)], dim=-1
            )
        if self.conventions.has_input_norm:
            features = self.input_norm(features)
        return self.fc(features)

    def project(self, tokens: torch.Tensor, hidden: torch.Tensor, positions: torch.Tensor) -> Projected:
        """tokens, positions: [batch, new]; hidden: [batch, new, hidden], fused or fed back."""
        layer, sizes = self.midlayer, self.sizes
        embedded = layer.input_layernorm(self.embed_tokens(tokens).to(hidden.dtype))
        normed = layer.hidden_norm(hidden)
        both = torch.cat([embedded, normed], dim=-1)
        split = (*both.shape[:2], -1, sizes.head_size)
        queries = layer.self_attn.q_proj(both).view(split).transpose(1, 2)
        keys = layer.self_attn.k_proj(both).view(split).transpose(1, 2)
        values = layer.self_attn.v_proj(both).view(split).transpose(1, 2)
        cosine, sine = self.rotary(values, positions)
        queries, keys = apply_rotary_pos_emb(queries, keys, cosine, sine)
        residual = normed if self.conventions.residual_after_norm else hidden
        return Projected(residual, queries, keys, values)

    def finish(self, residual: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """[batch, new, hidden] the layer's output. attended: [batch, heads, new, head size]."""
        layer = self.midlayer
        joined = attended.transpose(1, 2).reshape(*residual.shape[:2], -1)
        state = residual + layer.self_attn.o_proj(joined)
        return state + layer.mlp(layer.post_attention_layernorm(state))

    def logits(self, state: torch.Tensor) -> torch.Tensor:
        """[..., draft vocabulary] logits of the token after each state."""
        return self.lm_head(self.norm(state) if self.conventions.norm_before_output else state)

    def fed_back(self, state: torch.Tensor) -> torch.Tensor:
        """The state that stands in for the target's features one position later."""
        return self.norm(state) if self.conventions.normed_recurrence else state
