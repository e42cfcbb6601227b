"""The two matrices of a target that a head may share with it."""

from __future__ import annotations

import torch

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM


def embedding_matrix(target: CausalLM) -> torch.Tensor:
    """[vocabulary, hidden size] the target's token embeddings."""
    weight = target.model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)  # an embedding's weight
    return weight


def output_matrix(target: CausalLM) -> torch.Tensor:
    """[vocabulary, hidden size] what gives the target's logits. Raises InvalidInput if it has none."""
    module = target.model.get_output_embeddings()
    if module is None or not isinstance(module.weight, torch.Tensor):
        raise InvalidInput(f"{target.name} has no output matrix, expected a causal language model")
    return module.weight
