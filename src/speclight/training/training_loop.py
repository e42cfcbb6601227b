"""The loop that all kinds of drafters are trained by, in pieces that can be interrupted anywhere."""

from __future__ import annotations

import io
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.errors import CorruptWeights, InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.training.draft_vocabulary import vocabulary_of_texts
from speclight.training.shards import ScoredConversation, shard_paths
from speclight.training.step_scores import StepScores, merged
from speclight.training.text_batches import TextBatch, epoch_batches, held_out_texts, text_batch
from speclight.training.training_settings import TrainingProgress, TrainingSettings
from speclight.writing import write_whole

# Texts that are held out and scored at a checkpoint: a standard error of the agreement of about 0.7 points.
MEASURED_TEXTS = 32
# Few: laws over a whole vocabulary are large.
TEXTS_AT_ONCE = 4
# What torch raises for a file that is no checkpoint, or one of something else.
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, pickle.UnpicklingError)


class TrainingLoop(ABC):
    """A drafter in training: weights, optimiser, and how far it has come.

    module: what is trained; parameters that ask for no gradient are left alone. target_ids: [draft
    vocabulary] the target's tokens that can be drafted. output_rows: [draft vocabulary, hidden] the target's
    output matrix at these tokens.
    """

    def __init__(
        self,
        module: nn.Module,
        target_ids: torch.Tensor,
        output_rows: torch.Tensor,
        settings: TrainingSettings,
    ) -> None:
        self.module, self.target_ids, self.output_rows = module, target_ids, output_rows
        self.settings = settings
        self.tokens = self.epoch = self.updates = 0
        self.optimizer = torch.optim.AdamW(
            [weight for weight in module.parameters() if weight.requires_grad],
            lr=settings.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=settings.weight_decay,
        )

    @classmethod
    @abstractmethod
    def blank(cls, target: CausalLM, state: Mapping[str, torch.Tensor], settings: TrainingSettings) -> Self:
        """A drafter that has not been trained yet.

        state: what a checkpoint holds besides weights, optimiser and place: target_ids, and what
        `extra_state` says. Raises CorruptWeights for one of another kind of drafter.
        """

    @classmethod
    def begun(cls, target: CausalLM, folder: Path, settings: TrainingSettings) -> Self:
        """A drafter that has not been trained yet, for the vocabulary of the texts there are.

        Raises InvalidInput for a folder without texts.
        """
        target_ids = vocabulary_of_texts(target, folder, settings.draft_vocabulary)
        return cls.blank(target, {"target_ids": target_ids}, settings)

    @classmethod
    def resumed(cls, target: CausalLM, path: Path, settings: TrainingSettings) -> Self:
        """Training as a checkpoint left it, under settings that may ask for more tokens or another rate.

        Raises CorruptWeights for a file that is no checkpoint of this kind of drafter for this target.
        """
        state = read_checkpoint(path)
        training = cls.blank(target, state, settings)
        training.restore(state)
        return training

    @abstractmethod
    def scores(self, batch: TextBatch) -> StepScores:
        """Cross-entropies and agreements on a batch, by drafted step."""

    @abstractmethod
    def write(self, folder: Path, target: CausalLM) -> None:
        """Write the drafter as a folder that drafters load."""

    def extra_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint needs besides weights, optimiser and vocabulary."""
        return {}

    def run(self, folder: Path, until: int) -> Iterator[None]:
        """Train until this many tokens are reached; hands over after every update.

        Every epoch reads the shards there are by then. After a resumption its epoch starts anew.
        Raises InvalidInput for a folder without shards.
        """
        settings = self.settings
        while self.tokens < until:
            generator = torch.Generator().manual_seed(settings.seed * 100_003 + self.epoch)
            paths = shard_paths(folder)
            if not paths:
                raise InvalidInput(f"{folder} holds no shards to train on; sample some first")
            for batch in epoch_batches(paths, settings.batch_tokens, settings.request_weight, generator):
                self._update(batch)
                yield
                if self.tokens >= until:
                    return
            self.epoch += 1

    def _update(self, batch: TextBatch) -> None:
        device = self.output_rows.device
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.tokens)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.half_precision):
            scores = self.scores(batch.on(device))
        scores.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.tokens += batch.tokens
        self.updates += 1

    @torch.no_grad()
    def measured(self, texts: list[ScoredConversation]) -> TrainingProgress:
        """Scores on texts held out, answers only."""
        device = self.output_rows.device
        groups = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
        scores = merged([self.scores(text_batch(group, 0.0).on(device)) for group in groups])
        return TrainingProgress(
            self.tokens,
            self.epoch,
            self.updates,
            tuple(scores.cross_entropies.tolist()),
            tuple(scores.agreements.tolist()),
        )

    def _frozen(self) -> set[str]:
        """Names of the weights that are not trained, every name of those that have two."""
        named = self.module.named_parameters(remove_duplicate=False)
        return {name for name, weight in named if not weight.requires_grad}

    def save(self, path: Path) -> None:
        """Write a checkpoint that `restore` goes on from, whole or not at all. Errors as `write_whole`."""
        frozen = self._frozen()
        content = io.BytesIO()  # torch loses the reason where it cannot write
        torch.save(
            {
                "network": {k: v for k, v in self.module.state_dict().items() if k not in frozen},
                "optimizer": self.optimizer.state_dict(),
                "target_ids": self.target_ids,
                "place": [self.tokens, self.epoch, self.updates],
                **self.extra_state(),
            },
            content,
        )
        write_whole(path, content.getbuffer())

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint's weights, optimiser and place. Raises CorruptWeights if they do not fit."""
        frozen = self._frozen()
        try:
            missing, unknown = self.module.load_state_dict(state["network"], strict=False)
            self.optimizer.load_state_dict(state["optimizer"])
            self.tokens, self.epoch, self.updates = state["place"]
        except UNREADABLE as error:
            raise CorruptWeights(f"the checkpoint is not one of this drafter ({error}); delete it") from error
        if unknown or set(missing) != frozen:
            raise CorruptWeights(
                f"the checkpoint lacks {missing} or has left over {unknown}; delete it to start anew"
            )


def drafted_rows(target: CausalLM, target_ids: torch.Tensor) -> torch.Tensor:
    """[draft vocabulary, hidden] float32, on the target's device: its output matrix at these tokens."""
    return output_matrix(target).float()[target_ids.to(target.device)]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `TrainingLoop.save` wrote. Raises CorruptWeights for anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise CorruptWeights(f"{path.name} is no checkpoint ({error}); delete it to start anew") from error
    if not isinstance(state, dict) or "target_ids" not in state:
        raise CorruptWeights(f"{path.name} is no checkpoint of a drafter; delete it to start anew")
    return state


def measured_texts(folder: Path) -> list[ScoredConversation]:
    """The held-out texts that progress is measured on: always those of the first shards."""
    return list(islice(held_out_texts(shard_paths(folder)), MEASURED_TEXTS))


def train(
    training: TrainingLoop,
    folder: Path,
    is_due: Callable[[], bool],
    report: Callable[[TrainingProgress], None],
    until: int | None = None,
) -> TrainingProgress:
    """Train to `until` tokens (None: the planned ones); when due, and at the end, score held-out texts."""
    texts = measured_texts(folder)
    for _ in training.run(folder, until or training.settings.training_tokens):
        if is_due():
            report(training.measured(texts))
    progress = training.measured(texts)
    report(progress)
    return progress
