"""Distilling the target into a small independent language model: a few of its own layers, trained on."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.training.step_scores import StepLaws, StepScores, scores_of
from speclight.training.text_batches import TextBatch
from speclight.training.training_loop import TrainingLoop, drafted_rows
from speclight.training.training_settings import TrainingSettings
from speclight.writing import could_not_write

LAYER_NAME = re.compile(r"(?<=\.layers\.)\d+(?=\.)")
# Tokens outside the draft vocabulary that stand for all of them in one update: a fifth of the work.
SAMPLED_OTHERS = 2048


def kept_layers(target_layers: int, count: int) -> tuple[int, ...]:
    """The first and the last layers of the target, which read tokens and write laws; the middle goes.

    Raises InvalidInput unless 1 <= count < target_layers.
    """
    if not 1 <= count < target_layers:
        raise InvalidInput(
            f"got small_layers {count}, expected 1 to {target_layers - 1}: the target has {target_layers}"
        )
    first = (count + 1) // 2
    return (*range(first), *range(target_layers - (count - first), target_layers))


def pruned_model(target: CausalLM, count: int) -> PreTrainedModel:
    """The target with `count` of its layers, float32, embedding and output matrix not to be trained.

    A third of a million tokens cannot teach a model the words; it keeps the target's and learns the rest.
    Raises InvalidInput for a count outside 1 to the target's, or for a target whose layers are not found.
    """
    kept = kept_layers(target.layers, count)
    config = copy.deepcopy(target.model.config)
    text_config = config.get_text_config()
    text_config.num_hidden_layers = count
    kinds = getattr(text_config, "layer_types", None)
    if kinds is not None:
        text_config.layer_types = [kinds[layer] for layer in kept]
    config._attn_implementation = "sdpa"  # the target's own is set by CausalLM on loading
    model: PreTrainedModel = type(target.model)(config).float()
    place = {str(layer): str(index) for index, layer in enumerate(kept)}
    tensors: dict[str, torch.Tensor] = {}
    for name, weight in target.model.state_dict().items():
        layer = LAYER_NAME.search(name)
        if layer is None:
            tensors[name] = weight
        elif layer[0] in place:
            tensors[LAYER_NAME.sub(place[layer[0]], name, count=1)] = weight
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InvalidInput(f"{target.name} is no Llama-like decoder ({error}), expected one") from error
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert module is not None  # the target has both
        module.requires_grad_(False)
    return model


class SmallModelTraining(TrainingLoop):
    """A small model in training: it reads tokens only, and is asked for the target's law after each."""

    def __init__(
        self,
        model: PreTrainedModel,
        target_ids: torch.Tensor,
        output_rows: torch.Tensor,
        settings: TrainingSettings,
    ) -> None:
        torch.nn.Module.to(model, output_rows.device)  # Transformers' own `to` hides its types
        super().__init__(model, target_ids, output_rows, settings)
        self.model = model
        output = model.get_output_embeddings()
        assert output is not None  # the target has one
        assert isinstance(output.weight, torch.Tensor)
        self.output = output.weight
        self.others = torch.from_numpy(np.setdiff1d(np.arange(len(self.output)), target_ids.numpy()))

    @classmethod
    def blank(cls, target: CausalLM, state: Mapping[str, torch.Tensor], settings: TrainingSettings) -> Self:
        """See TrainingLoop. Raises InvalidInput for layers that the target has not."""
        target_ids = state["target_ids"]
        model = pruned_model(target, settings.small_layers)
        return cls(model, target_ids, drafted_rows(target, target_ids), settings)

    def scores(self, batch: TextBatch) -> StepScores:
        """See TrainingLoop: one step, and the target's law over its whole vocabulary."""
        chosen = batch.weights > 0
        read = self.model.base_model(batch.token_ids, use_cache=False).last_hidden_state
        columns, offsets = self._columns()
        # The output matrix is the target's and is not trained, so its rows serve both.
        rows = self.output[columns]
        with torch.no_grad():
            laws = torch.softmax((batch.next_states[chosen] @ rows.T).float() + offsets, dim=-1)
        logits = (read[:, 1:][chosen] @ rows.T).float() + offsets
        return scores_of([StepLaws(logits, laws, batch.weights[chosen])])

    def _columns(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens that laws are compared on, and what is added to their logits.

        Measuring: all tokens. Training: the draft vocabulary, and of the other tokens a new sample for every
        update, each standing for as many as were left out (importance sampling of both normalisers).
        """
        device = self.output_rows.device
        if not torch.is_grad_enabled() or len(self.others) <= SAMPLED_OTHERS:
            return torch.arange(len(self.output), device=device), torch.zeros((), device=device)
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.updates)
        sampled = self.others[torch.randperm(len(self.others), generator=generator)[:SAMPLED_OTHERS]]
        offsets = torch.zeros(len(self.target_ids) + SAMPLED_OTHERS)
        offsets[len(self.target_ids) :] = math.log(len(self.others) / SAMPLED_OTHERS)
        return torch.cat([self.target_ids, sampled]).to(device), offsets.to(device)

    def write(self, folder: Path, target: CausalLM) -> None:
        """Write model and tokenizer as Transformers does, float16, for the drafter `model`."""
        try:
            copy.deepcopy(self.model).half().save_pretrained(folder)
            target.tokenizer.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise could_not_write(f"the model to {folder.name}", error) from error
