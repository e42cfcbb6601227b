"""Decoder layers of Llama's make in fewer operations: a small pass spends much of its time between products.

Transformers runs some 55 operations a layer, each of which takes longer to start than to compute on a few
rows, and looks up a module for each. Here they are half as many, on parameters that are looked up once. The
layers keep their parameters, their names and their interface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import rms_norm
from transformers import Cache, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import (
    LlamaDecoderLayer,
    LlamaRMSNorm,
    eager_attention_forward,
)
from transformers.models.mistral.modeling_mistral import MistralDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from speclight.models.lean_models import use_lean_model
from speclight.models.row_steps import RowChain, RowNorm, RowStep, RowSteps


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What a decoder layer is made of, outside its modules, which take long to look things up in."""

    attention: Any
    attend: Callable[..., tuple[torch.Tensor, torch.Tensor | None]]
    activation: Callable[[torch.Tensor], torch.Tensor]
    run: RowSteps
    to_attention: RowChain
    to_activation: RowChain
    from_activation: RowChain


class _LeanLayer(nn.Module):
    """The forward pass of a decoder layer, before the class it stands in for."""

    parts: _Parts

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = False,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        **kwargs: Any,  # what else the model hands to its attention
    ) -> torch.Tensor:
        """[batch, new, hidden] leaving the layer; position_embeddings as `SignedRotary` gives them."""
        assert position_embeddings is not None  # every model of this make gives them
        parts = self.parts
        attention = parts.attention
        batch, new, width = hidden_states.shape
        state = hidden_states.reshape(-1, width)
        (joined,) = parts.run(parts.to_attention, state, None)
        queries, keys, values = _projected(parts, joined, (batch, new), position_embeddings)
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, attention.layer_idx)
        attended, _ = parts.attend(
            attention,
            queries,
            keys,
            values,
            attention_mask,
            dropout=attention.attention_dropout if self.training else 0.0,
            scaling=attention.scaling,
            **kwargs,
        )
        state, gate_up = parts.run(parts.to_activation, attended.reshape(batch * new, -1), state)
        gate, up = gate_up.chunk(2, dim=1)
        joined = torch.mul(parts.activation(gate), up)
        (state,) = parts.run(parts.from_activation, joined, state)
        return state.view(batch, new, width)


class LeanLlamaLayer(_LeanLayer, LlamaDecoderLayer):
    """A lean LlamaDecoderLayer."""


class LeanMistralLayer(_LeanLayer, MistralDecoderLayer):
    """A lean MistralDecoderLayer."""


class LeanQwen2Layer(_LeanLayer, Qwen2DecoderLayer):
    """A lean Qwen2DecoderLayer."""


# Subclasses, so that Transformers still knows the layers whose states it collects.
LEAN: dict[type[nn.Module], type[_LeanLayer]] = {
    LlamaDecoderLayer: LeanLlamaLayer,
    MistralDecoderLayer: LeanMistralLayer,
    Qwen2DecoderLayer: LeanQwen2Layer,
}


class LeanNorm(LlamaRMSNorm):
    """A norm by the root mean square in one operation instead of six; of rows of its weight's type."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """[..., hidden], each normed."""
        return rms_norm(hidden_states, self.weight.shape, self.weight, self.variance_epsilon)


def use_lean_norms(module: nn.Module) -> None:
    """Let a module's plain norms compute in one operation; their parameters stay as they are."""
    for norm in module.modules():
        if type(norm) is LlamaRMSNorm:
            norm.__class__ = LeanNorm


class SignedRotary(nn.Module):
    """A model's rotary embedding in the form that lean layers read, [batch, new, 1, head size] each.

    The first half of the sines is negated, so that x * cosines + (x with its halves exchanged) * sines is
    the rotation.
    """

    def __init__(self, rotary: nn.Module) -> None:
        super().__init__()
        self.rotary = rotary

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines of the positions."""
        cosines, sines = self.rotary(x, position_ids)
        first, second = sines.chunk(2, dim=-1)
        return cosines.unsqueeze(2), torch.cat((-first, second), dim=-1).unsqueeze(2)


def use_lean_layers(model: PreTrainedModel, run: RowSteps) -> None:
    """Make the decoder layers of a model lean, where all of them are of a make that has a lean form.

    They go on with the attention that the model is set to now.
    """
    decoder: Any = model.base_model
    layers = list(getattr(decoder, "layers", ()))
    if not layers or not all(type(layer) in LEAN for layer in layers):
        return
    attention = str(model.config._attn_implementation)
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention, eager_attention_forward)
    for layer in layers:
        layer.parts = _parts(layer, attend, run)
        layer.__class__ = LEAN[type(layer)]
    decoder.rotary_emb = SignedRotary(decoder.rotary_emb)
    use_lean_model(model)


def _parts(
    layer: Any, attend: Callable[..., tuple[torch.Tensor, torch.Tensor | None]], run: RowSteps
) -> _Parts:
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    return _Parts(
        attention=attention,
        attend=attend,
        activation=mlp.act_fn,
        run=run,
        to_attention=RowChain([RowStep(*projections, norm=RowNorm(layer.input_layernorm))]),
        to_activation=RowChain(
            [
                RowStep(attention.o_proj),
                RowStep(mlp.gate_proj, mlp.up_proj, norm=RowNorm(layer.post_attention_layernorm)),
            ]
        ),
        from_activation=RowChain([RowStep(mlp.down_proj)]),
    )


def _projected(
    parts: _Parts,
    joined: torch.Tensor,
    shape: tuple[int, int],
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """[batch, heads, new, head size] queries and keys, rotated, and values, of all of them side by side."""
    size: int = parts.attention.head_dim
    groups: int = parts.attention.num_key_value_groups
    joined = joined.reshape(*shape, -1, size)
    key_heads = joined.shape[2] // (groups + 2)
    heads = groups * key_heads
    both, values = joined[:, :, : heads + key_heads], joined[:, :, heads + key_heads :].transpose(1, 2)
    cosines, sines = position_embeddings
    rotated = torch.addcmul(both * cosines, both.roll(size // 2, -1), sines).transpose(1, 2)
    return rotated[:, :heads], rotated[:, heads:], values
