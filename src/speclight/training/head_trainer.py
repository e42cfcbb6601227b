"""Training an EAGLE-3 head on stored texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.saving import save_head
from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.drafting.eagle3.unrolled import unrolled_states
from speclight.errors import CorruptWeights
from speclight.models.causal_lm import CausalLM
from speclight.training.draft_vocabulary import vocabulary_of_texts
from speclight.training.head_start import blank_head
from speclight.training.linear_start import start_linear
from speclight.training.step_scores import StepLaws, StepScores, scores_of, target_laws
from speclight.training.text_batches import TextBatch, some_texts
from speclight.training.training_loop import TrainingLoop, read_checkpoint
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


def new_training(target: CausalLM, folder: Path, settings: TrainingSettings) -> HeadTraining:
    """A head that has not been trained yet; its vocabulary and scales are those of the shards there are.

    Raises InvalidInput for a folder without texts.
    """
    texts = some_texts(folder)
    torch.manual_seed(settings.seed)
    written = torch.cat([text.features[text.written_from :] for text in texts]).float()
    scale = written.std(dim=0).clamp(min=SMALLEST_SCALE)
    target_ids = vocabulary_of_texts(target, folder, settings.draft_vocabulary)
    network = blank_head(target, settings.draft_vocabulary)
    start_linear(network, target, target_ids, scale, texts)
    return _on_device(target, network, target_ids, scale, settings)


def resumed(target: CausalLM, path: Path, settings: TrainingSettings) -> HeadTraining:
    """Training as a checkpoint left it, under settings that may ask for more tokens or another rate.

    Raises CorruptWeights for a file that is no checkpoint of this target.
    """
    state = read_checkpoint(path)
    if "feature_scale" not in state:
        raise CorruptWeights(f"{path.name} is no checkpoint of an EAGLE-3 head; delete it to start anew")
    network = blank_head(target, len(state["target_ids"]))
    training = _on_device(target, network, state["target_ids"], state["feature_scale"], settings)
    training.restore(state)
    return training


def _on_device(
    target: CausalLM,
    network: Eagle3Network,
    target_ids: torch.Tensor,
    scale: torch.Tensor,
    settings: TrainingSettings,
) -> HeadTraining:
    rows = output_matrix(target).float()[target_ids.to(target.device)]
    return HeadTraining(network.to(target.device), target_ids, scale.to(target.device), rows, settings)
