"""Training an EAGLE-3 head on stored texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import torch

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.saving import save_head
from speclight.drafting.eagle3.unrolled import unrolled_states
from speclight.errors import CorruptWeights
from speclight.models.causal_lm import CausalLM
from speclight.training.draft_vocabulary import vocabulary_of_texts
from speclight.training.head_start import blank_head
from speclight.training.linear_start import start_linear
from speclight.training.step_scores import StepLaws, StepScores, scores_of, target_laws
from speclight.training.text_batches import TextBatch, some_texts
from speclight.training.training_loop import TrainingLoop, drafted_rows
from speclight.training.training_settings import TrainingSettings

# Features vary by channel over three orders of magnitude; no channel is divided by less than this.
SMALLEST_SCALE = 1e-3


class HeadTraining(TrainingLoop):
    """A head in training. Features are divided by feature_scale, which `exported` folds into `fc`."""

    def __init__(
        self,
        network: Eagle3Network,
        target_ids: torch.Tensor,
        feature_scale: torch.Tensor,
        output_rows: torch.Tensor,
        settings: TrainingSettings,
    ) -> None:
        super().__init__(network, target_ids, output_rows, settings)
        self.network = network
        self.feature_scale = feature_scale

    @classmethod
    def blank(cls, target: CausalLM, state: Mapping[str, torch.Tensor], settings: TrainingSettings) -> Self:
        """See TrainingLoop."""
        if "feature_scale" not in state:
            raise CorruptWeights("the checkpoint is not one of an EAGLE-3 head; delete it to start anew")
        network = blank_head(target, len(state["target_ids"]))
        return cls._on_device(target, network, state["target_ids"], state["feature_scale"], settings)

    @classmethod
    def begun(cls, target: CausalLM, folder: Path, settings: TrainingSettings) -> Self:
        """See TrainingLoop: a head that starts linear, for the vocabulary and the scales of the texts."""
        texts = some_texts(folder)
        torch.manual_seed(settings.seed)
        written = torch.cat([text.features[text.written_from :] for text in texts]).float()
        scale = written.std(dim=0).clamp(min=SMALLEST_SCALE)
        target_ids = vocabulary_of_texts(target, folder, settings.draft_vocabulary)
        network = blank_head(target, settings.draft_vocabulary).to(target.device)
        start_linear(network, target, target_ids, scale, texts)
        return cls._on_device(target, network, target_ids, scale, settings)

    @classmethod
    def _on_device(
        cls,
        target: CausalLM,
        network: Eagle3Network,
        target_ids: torch.Tensor,
        scale: torch.Tensor,
        settings: TrainingSettings,
    ) -> Self:
        rows = drafted_rows(target, target_ids)
        return cls(network.to(target.device), target_ids, scale.to(target.device), rows, settings)

    def scores(self, batch: TextBatch) -> StepScores:
        """See TrainingLoop: one for each unrolled step."""
        return scores_of(self._steps(batch))

    def _steps(self, batch: TextBatch) -> Iterator[StepLaws]:
        chosen = batch.weights > 0
        laws = target_laws(batch.next_states[chosen], self.output_rows)
        row_of = torch.full(batch.weights.shape, -1, device=laws.device)
        row_of[chosen] = torch.arange(len(laws), device=laws.device)
        features = batch.features / self.feature_scale
        steps = unrolled_states(self.network, batch.next_tokens, features, self.settings.unrolled_steps)
        for step, states in enumerate(steps):
            # Position p < step has no state of this step: the text begins later.
            seen = chosen.clone()
            seen[:, :step] = False
            yield StepLaws(self.network.logits(states[seen]), laws[row_of[seen]], batch.weights[seen])

    def extra_state(self) -> dict[str, torch.Tensor]:
        """See TrainingLoop."""
        return {"feature_scale": self.feature_scale}

    def exported(self) -> dict[str, torch.Tensor]:
        """The head's own tensors by the EAGLE authors' names, the embedding left to the target."""
        tensors = {
            name: weight.detach().cpu().clone()
            for name, weight in self.network.state_dict().items()
            if name != "embed_tokens.weight"
        }
        tensors["fc.weight"] /= self.feature_scale.cpu()
        return tensors

    def write(self, folder: Path, target: CausalLM) -> None:
        """Write the head as a checkpoint that drafters load."""
        template = target.tokenizer.chat_template
        recorded = template if isinstance(template, str) else None
        save_head(folder, self.network, self.exported(), self.target_ids, recorded)
