"""The arithmetic of an EAGLE head, shared by drafting and training; attention is left to the caller."""

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
from speclight.models.few_rows import products_of_one_input


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """What the attention of one decoder layer works on.

    residual: [batch, new, hidden]. queries: [batch, heads, new, head size], keys and values likewise with
    key-value heads; queries and keys are rotated to their positions.
    """

    residual: torch.Tensor
    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor


class _Attention(nn.Module):
    """The four projections; named as the checkpoints name them."""

    def __init__(self, width: int, sizes: HeadSizes, conventions: Conventions, eps: float) -> None:
        super().__init__()
        query, key = sizes.heads * sizes.head_size, sizes.kv_heads * sizes.head_size
        bias = conventions.has_query_biases
        self.head_size = sizes.head_size
        self.q_proj = nn.Linear(width, query, bias=bias)
        self.k_proj = nn.Linear(width, key, bias=bias)
        self.v_proj = nn.Linear(width, key, bias=bias)
        self.o_proj = nn.Linear(query, sizes.hidden, bias=conventions.has_output_bias)
        self.has_norms = conventions.has_head_norms
        if self.has_norms:
            self.q_norm = LlamaRMSNorm(sizes.head_size, eps=eps)
            self.k_norm = LlamaRMSNorm(sizes.head_size, eps=eps)

    def forward(self, read: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """[batch, heads or key-value heads, new, head size] queries, keys and values, not rotated yet."""
        split = (*read.shape[:2], -1, self.head_size)
        outputs = products_of_one_input(read, self.q_proj, self.k_proj, self.v_proj)
        queries, keys, values = (output.view(split) for output in outputs)
        if self.has_norms:
            queries, keys = self.q_norm(queries), self.k_norm(keys)
        return queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)


class _DecoderLayer(nn.Module):
    """A decoder layer of a head.

    is_first: it reads the token's embedding beside the state, unless `fc` joined them already.
    """

    def __init__(
        self, sizes: HeadSizes, conventions: Conventions, config: LlamaConfig, *, is_first: bool
    ) -> None:
        super().__init__()
        eps = config.rms_norm_eps
        reads_both = is_first and not conventions.joins_embedding
        self.self_attn = _Attention(sizes.hidden * (2 if reads_both else 1), sizes, conventions, eps)
        self.mlp = LlamaMLP(config)
        if reads_both or not is_first:
            self.input_layernorm = LlamaRMSNorm(sizes.hidden, eps=eps)
        if reads_both:
            self.hidden_norm = LlamaRMSNorm(sizes.hidden, eps=eps)
        self.post_attention_layernorm = LlamaRMSNorm(sizes.hidden, eps=eps)


class Eagle3Network(nn.Module):
    """Parameters are named as in the EAGLE authors' checkpoints; `embed_tokens` may be the target's own.

    config: of the decoder layers, as Transformers describes a Llama (sizes, rotary embedding, eps, bias).
    Decoder layers behind the first are ordinary ones, named layers.1 and so on.
    """

    def __init__(self, sizes: HeadSizes, conventions: Conventions, config: LlamaConfig) -> None:
        super().__init__()
        self.sizes, self.conventions, self.config = sizes, conventions, config
        eps, fused = config.rms_norm_eps, len(conventions.layers) * sizes.target_hidden
        self.embed_tokens = nn.Embedding(sizes.vocabulary, sizes.hidden)
        if conventions.has_fusion:
            width = sizes.hidden + fused if conventions.joins_embedding else fused
            self.fc = nn.Linear(width, sizes.hidden, bias=conventions.has_fusion_bias)
        if conventions.has_input_norm:
            self.input_norm = LlamaRMSNorm(fused, eps=eps)
        if conventions.has_layer_norms:
            self.fc_norm = nn.ModuleList(
                LlamaRMSNorm(sizes.target_hidden, eps=eps) for _ in conventions.layers
            )
        self.midlayer = _DecoderLayer(sizes, conventions, config, is_first=True)
        self.layers = nn.ModuleDict(
            {
                str(place): _DecoderLayer(sizes, conventions, config, is_first=False)
                for place in range(1, sizes.decoder_layers)
            }
        )
        if not conventions.joins_embedding:
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
        if self.conventions.joins_embedding or not self.conventions.has_fusion:
            return features
        return self.fc(features)

    def project(
        self, tokens: torch.Tensor, hidden: torch.Tensor, positions: torch.Tensor, decoder_layer: int = 0
    ) -> Projected:
        """What one decoder layer's attention needs of new positions, before any of them attends.

        tokens, positions: [batch, new]. hidden: [batch, new, hidden], for the first decoder layer fused or
        fed back, for a later one (which reads no tokens) what the one before gave.
        """
        layer = self._layer(decoder_layer)
        if decoder_layer == 0:
            residual, read = self._first_input(tokens, hidden)
        else:
            residual, read = hidden, layer.input_layernorm(hidden)
        queries, keys, values = layer.self_attn(read)
        cosine, sine = self.rotary(values, positions)
        queries, keys = apply_rotary_pos_emb(queries, keys, cosine, sine)
        return Projected(residual, queries, keys, values)

    def _first_input(self, tokens: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Residual of the first decoder layer, and what its attention reads."""
        embedded = self.embed_tokens(tokens).to(hidden.dtype)
        if self.conventions.joins_embedding:
            joined = self.fc(torch.cat([embedded, hidden], dim=-1))
            return joined, joined
        embedded = self.midlayer.input_layernorm(embedded)
        normed = self.midlayer.hidden_norm(hidden)
        residual = normed if self.conventions.residual_after_norm else hidden
        return residual, torch.cat([embedded, normed], dim=-1)

    def finish(self, residual: torch.Tensor, attended: torch.Tensor, decoder_layer: int = 0) -> torch.Tensor:
        """[batch, new, hidden] a decoder layer's output. attended: [batch, heads, new, head size]."""
        layer = self._layer(decoder_layer)
        joined = attended.transpose(1, 2).reshape(*residual.shape[:2], -1)
        state = residual + layer.self_attn.o_proj(joined)
        mlp, read = layer.mlp, layer.post_attention_layernorm(state)
        gate, up = products_of_one_input(read, mlp.gate_proj, mlp.up_proj)
        return state + mlp.down_proj(mlp.act_fn(gate) * up)

    def logits(self, state: torch.Tensor) -> torch.Tensor:
        """[..., draft vocabulary] logits of the token after each state."""
        return self.lm_head(self.norm(state) if self.conventions.norm_before_output else state)

    def fed_back(self, state: torch.Tensor) -> torch.Tensor:
        """The state that stands in for the target's features one position later."""
        return self.norm(state) if self.conventions.normed_recurrence else state

    def _layer(self, place: int) -> _DecoderLayer:
        layer = self.midlayer if place == 0 else self.layers[str(place)]
        assert isinstance(layer, _DecoderLayer)  # a ModuleDict gives modules
        return layer
