"""Training Medusa heads on stored texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import save
from torch import nn

from speclight.drafting.head_files import CONFIG_NAME, WEIGHT_NAMES
from speclight.models.causal_lm import CausalLM
from speclight.training.step_scores import StepLaws, StepScores, scores_of, target_laws
from speclight.training.text_batches import TextBatch
from speclight.training.training_loop import TrainingLoop, drafted_rows
from speclight.training.training_settings import TrainingSettings
from speclight.writing import write_whole


class MedusaModule(nn.Module):
    """Heads of one residual block and an output matrix each, by the names vLLM gives them.

    They start as the target's own output: the block adds nothing and the matrix is the target's
    (arXiv 2401.10774, section 2.1.1).
    """

    def __init__(self, heads: int, output_rows: torch.Tensor) -> None:
        super().__init__()
        rows, hidden = output_rows.shape
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(hidden, hidden, bias=False)])})
            for _ in range(heads)
        )
        self.lm_heads = nn.ModuleList(nn.Linear(hidden, rows, bias=False) for _ in range(heads))
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.startswith("blocks."):
                    weight.zero_()
                else:
                    weight.copy_(output_rows)

    def logits(self, head: int, states: torch.Tensor) -> torch.Tensor:
        """[..., draft vocabulary] of one head, from the target's last states."""
        block = self.get_submodule(f"blocks.{head}.layers.0")
        return self.lm_heads[head](states + nn.functional.silu(block(states)))


class MedusaTraining(TrainingLoop):
    """Medusa heads in training; settings.unrolled_steps is their number."""

    def __init__(
        self, target_ids: torch.Tensor, output_rows: torch.Tensor, settings: TrainingSettings
    ) -> None:
        self.heads = MedusaModule(settings.unrolled_steps, output_rows).to(output_rows.device)
        super().__init__(self.heads, target_ids, output_rows, settings)

    @classmethod
    def blank(cls, target: CausalLM, state: Mapping[str, torch.Tensor], settings: TrainingSettings) -> Self:
        """See TrainingLoop."""
        return cls(state["target_ids"], drafted_rows(target, state["target_ids"]), settings)

    def scores(self, batch: TextBatch) -> StepScores:
        """See TrainingLoop: one for each head."""
        return scores_of(self._steps(batch))

    def _steps(self, batch: TextBatch) -> Iterator[StepLaws]:
        for head in range(self.settings.unrolled_steps):
            # The state that decides on one token; the head is about the token head + 1 places later.
            ahead = head + 1
            weights = batch.weights[:, ahead:]
            chosen = weights > 0
            states = batch.next_states[:, :-ahead][chosen]
            laws = target_laws(batch.next_states[:, ahead:][chosen], self.output_rows)
            yield StepLaws(self.heads.logits(head, states), laws, weights[chosen])

    def write(self, folder: Path, target: CausalLM) -> None:
        """Write the heads in vLLM's dialect, float16."""
        tensors = {name: weight.detach().half().cpu() for name, weight in self.heads.state_dict().items()}
        tensors["token_map"] = self.target_ids
        config = {
            "model_type": "medusa",
            "num_heads": self.settings.unrolled_steps,
            "num_hidden_layers": 1,
            "hidden_size": self.output_rows.shape[1],
            "vocab_size": target.vocabulary_size,
            "truncated_vocab_size": len(self.target_ids),
            "original_lm_head": False,
            "medusa_fc_bias": False,
        }
        write_whole(folder / WEIGHT_NAMES[0], save(tensors))
        write_whole(folder / CONFIG_NAME, (json.dumps(config, indent=2) + "\n").encode())
