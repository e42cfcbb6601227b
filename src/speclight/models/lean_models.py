"""The pass of a model of lean layers (`lean_layers`) without what Transformers does around them.

Of a call of one token 3 to 5% go to looking up what it was asked for, making masks that were given, and
norms in six operations. A call of any other form than ours is Transformers' own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.functional import rms_norm
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.mistral.modeling_mistral import MistralForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM

MODELS: tuple[type[PreTrainedModel], ...] = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM)
# Named arguments of our calls that the layers are handed as they are, see `CausalLM.forward`.
_BOUNDS = frozenset({"cu_seq_lens_q", "cu_seq_lens_k"})


class _LeanModel(nn.Module):
    """The forward pass of a causal model, before the class it stands in for."""

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: Any = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        logits_to_keep: int | torch.Tensor = 0,
        output_hidden_states: bool | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """See Transformers' forward passes of causal models."""
        if input_ids is None or output_hidden_states or not _is_ours(attention_mask, position_ids, kwargs):
            return super().forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                logits_to_keep=logits_to_keep,
                output_hidden_states=output_hidden_states,
                use_cache=use_cache,
                **kwargs,
            )
        decoder: Any = self.model
        state = decoder.embed_tokens(input_ids)
        positions = decoder.rotary_emb(state, position_ids)
        masks = _masks_by_layer(attention_mask, decoder)
        for layer, mask in zip(decoder.layers, masks, strict=True):
            # What hangs hooks in goes by the call; without any it would only take longer.
            run = layer if layer._forward_pre_hooks or layer._forward_hooks else layer.forward
            state = run(
                state,
                attention_mask=mask,
                position_embeddings=positions,
                past_key_values=past_key_values,
                **kwargs,
            )
        norm = decoder.norm
        rows = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        normed = rms_norm(state[:, rows], norm.weight.shape, norm.weight, norm.variance_epsilon)
        to_logits: Any = self.lm_head
        return CausalLMOutputWithPast(logits=to_logits(normed), past_key_values=past_key_values)


def _is_ours(attention_mask: Any, position_ids: torch.Tensor | None, others: dict[str, Any]) -> bool:
    """Whether a call says for every token what it sees and where it stands, and asks for nothing else."""
    masks = attention_mask.values() if isinstance(attention_mask, dict) else (attention_mask,)
    is_explicit = all(isinstance(mask, torch.Tensor) and mask.dim() == 4 for mask in masks)
    return is_explicit and position_ids is not None and others.keys() <= _BOUNDS


def _masks_by_layer(attention_mask: Any, decoder: Any) -> list[torch.Tensor]:
    if isinstance(attention_mask, dict):
        return [attention_mask[kind] for kind in decoder.config.layer_types]
    return [attention_mask] * len(decoder.layers)


def use_lean_model(model: PreTrainedModel) -> None:
    """Make a causal model of lean layers lean itself, where it is of a make that has a lean form."""
    if type(model) in MODELS:
        model.__class__ = _lean(type(model))


@cache
def _lean(made: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """Of its class's name, which Transformers writes down where the model is saved."""
    return type(made.__name__, (_LeanModel, made), {"__doc__": made.__doc__})
