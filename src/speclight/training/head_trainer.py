"""Training an EAGLE-3 head on stored texts, in pieces that can be interrupted anywhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.errors import CorruptWeights, InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.training.draft_vocabulary import choose_draft_vocabulary
from speclight.training.head_loss import step_scores
from speclight.training.head_start import blank_head
from speclight.training.linear_start import start_linear
from speclight.training.shards import ScoredConversation, shard_paths
from speclight.training.text_batches import epoch_batches, held_out_texts, text_batch, training_texts

# Features vary by channel over three orders of magnitude; no channel is divided by less than this.
SMALLEST_SCALE = 1e-3
# Positions whose whole laws decide on the draft vocabulary.
VOCABULARY_POSITIONS = 16384
# Texts that are held out and scored at a checkpoint: a standard error of the agreement of about 0.7 points.
MEASURED_TEXTS = 32


@dataclass(frozen=True, slots=True)
class HeadTrainingSettings:
    """How a head is trained.

    training_tokens: positions with a weight, over all epochs. draft_vocabulary: tokens the head can draft.
    unrolled_steps: of training-time test. batch_tokens: padded positions per update. request_weight: of the
    request's tokens in the loss, against 1 for the answer's. warm_up and decay: shares of training_tokens
    at its start and end over which the learning rate rises and falls linearly: constant in between, so that
    more tokens can be trained on from any checkpoint before the decay. half_precision: bfloat16 products.
    """

    training_tokens: int = 2_000_000
    draft_vocabulary: int = 8192
    unrolled_steps: int = 3
    batch_tokens: int = 1500
    request_weight: float = 0.3
    learning_rate: float = 6e-4
    weight_decay: float = 0.01
    warm_up: float = 0.02
    decay: float = 0.3
    half_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("training_tokens", "draft_vocabulary", "unrolled_steps", "batch_tokens"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be >= 1, got {getattr(self, name)}")

    def learning_rate_at(self, tokens: int) -> float:
        """After so many training tokens."""
        done = tokens / self.training_tokens
        rise = (done + 1e-3) / self.warm_up if self.warm_up > 0.0 else 1.0
        fall = (1.0 - done) / self.decay if self.decay > 0.0 else 1.0
        return self.learning_rate * max(0.0, min(1.0, rise, fall))


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where training stands. cross_entropies and agreements: by unrolled step, on texts held out."""

    tokens: int
    epoch: int
    updates: int
    cross_entropies: tuple[float, ...]
    agreements: tuple[float, ...]

    @property
    def estimated_chain(self) -> float:
        """Tokens per call of a greedy chain as long as the unrolled steps: 1 + a1 + a1 a2 + ..."""
        total = survival = 1.0
        for agreement in self.agreements:
            survival *= agreement
            total += survival
        return total


@dataclass(slots=True, eq=False)
class HeadTraining:
    """A head in training. Features are divided by feature_scale, which `exported` folds into `fc`."""

    network: Eagle3Network
    target_ids: torch.Tensor
    feature_scale: torch.Tensor
    output_rows: torch.Tensor
    settings: HeadTrainingSettings
    tokens: int = 0
    epoch: int = 0
    updates: int = 0
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained,
            lr=self.settings.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=self.settings.weight_decay,
        )

    def run(self, folder: Path, until: int) -> Iterator[None]:
        """Train until so many tokens are reached; hands over after every update."""
        while self.tokens < until:
            generator = torch.Generator().manual_seed(self.settings.seed * 100_003 + self.epoch)
            paths = shard_paths(folder)
            if not paths:
                raise InvalidInput(f"{folder} holds no shards to train on; sample some first")
            for batch in epoch_batches(
                paths, self.settings.batch_tokens, self.settings.request_weight, generator
            ):
                for group in self.optimizer.param_groups:
                    group["lr"] = self.settings.learning_rate_at(self.tokens)
                with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.half_precision):
                    scores = step_scores(
                        self.network,
                        batch,
                        batch.features / self.feature_scale,
                        self.output_rows,
                        self.settings.unrolled_steps,
                    )
                scores.loss.backward()
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                self.optimizer.step()
                self.optimizer.zero_grad()
                self.tokens += batch.tokens
                self.updates += 1
                yield
                if self.tokens >= until:
                    return
            self.epoch += 1

    @torch.no_grad()
    def measured(self, texts: list[ScoredConversation]) -> TrainingProgress:
        """Scores on texts held out, answers only."""
        batch = text_batch(texts, 0.0)
        scores = step_scores(
            self.network,
            batch,
            batch.features / self.feature_scale,
            self.output_rows,
            self.settings.unrolled_steps,
        )
        return TrainingProgress(
            self.tokens,
            self.epoch,
            self.updates,
            tuple(scores.cross_entropies.tolist()),
            tuple(scores.agreements.tolist()),
        )

    def exported(self) -> dict[str, torch.Tensor]:
        """The head's own tensors by the EAGLE authors' names, the embedding left to the target."""
        tensors = {
            name: weight.detach().clone()
            for name, weight in self.network.state_dict().items()
            if name != "embed_tokens.weight"
        }
        tensors["fc.weight"] /= self.feature_scale
        return tensors

    def save(self, path: Path) -> None:
        """Write a checkpoint that `resumed` goes on from, whole or not at all."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "network": {k: v for k, v in self.network.state_dict().items() if k != "embed_tokens.weight"},
                "optimizer": self.optimizer.state_dict(),
                "target_ids": self.target_ids,
                "feature_scale": self.feature_scale,
                "settings": asdict(self.settings),
                "place": [self.tokens, self.epoch, self.updates],
            },
            partial,
        )
        partial.replace(path)


def new_training(target: CausalLM, folder: Path, settings: HeadTrainingSettings) -> HeadTraining:
    """A head that has not been trained yet; its vocabulary and scales are those of the shards there are."""
    texts = training_texts(shard_paths(folder))
    if not texts:
        raise InvalidInput(f"{folder} holds no texts to train on; sample some first")
    torch.manual_seed(settings.seed)
    written = torch.cat([text.features[text.written_from :] for text in texts]).float()
    scale = written.std(dim=0).clamp(min=SMALLEST_SCALE)
    matrix = output_matrix(target)
    chosen = choose_draft_vocabulary(texts, matrix, settings.draft_vocabulary, VOCABULARY_POSITIONS)
    network = blank_head(target, settings.draft_vocabulary)
    start_linear(network, target, chosen.target_ids, scale, texts)
    return HeadTraining(network, chosen.target_ids, scale, matrix[chosen.target_ids], settings)


def resumed(target: CausalLM, path: Path, settings: HeadTrainingSettings) -> HeadTraining:
    """Training as a checkpoint left it, under settings that may ask for more tokens or another rate.

    Raises CorruptWeights for a file that is no checkpoint of this target.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = blank_head(target, len(state["target_ids"]))
        rows = output_matrix(target)[state["target_ids"]]
        training = HeadTraining(network, state["target_ids"], state["feature_scale"], rows, settings)
        missing, unknown = network.load_state_dict(state["network"], strict=False)
        training.optimizer.load_state_dict(state["optimizer"])
        training.tokens, training.epoch, training.updates = state["place"]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise CorruptWeights(
            f"{path.name} is no checkpoint of a head for {target.name} ({error}); delete it to start anew"
        ) from error
    if unknown or missing != ["embed_tokens.weight"]:
        raise CorruptWeights(
            f"{path.name} lacks {missing} or has left over {unknown}; delete it to start anew"
        )
    return training


def measured_texts(folder: Path) -> list[ScoredConversation]:
    """The held-out texts that progress is measured on: always those of the first shards."""
    return held_out_texts(shard_paths(folder))[:MEASURED_TEXTS]


def train(
    training: HeadTraining,
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
