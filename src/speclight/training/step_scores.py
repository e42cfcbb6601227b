"""How well a drafter's laws fit the target's, by drafted step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

# Loss of step j counts this to the power j: later steps are reached only if the earlier ones were accepted.
STEP_WEIGHT = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class StepScores:
    """By drafted step: mean cross-entropy to the target's law given the draft vocabulary (nats per token),
    and the share of positions where the drafter's best token is the target's, both [steps].
    """

    cross_entropies: torch.Tensor
    agreements: torch.Tensor

    @property
    def loss(self) -> torch.Tensor:
        """Weighted mean over the steps."""
        steps = torch.arange(len(self.cross_entropies), device=self.cross_entropies.device)
        weights = STEP_WEIGHT ** steps.float()
        return (weights * self.cross_entropies).sum() / weights.sum()


@dataclass(frozen=True, slots=True, eq=False)
class StepLaws:
    """One step where it counts: logits and laws [positions, draft vocabulary], weights [positions].

    log_normalisers: [positions] of the drafter's logits, None where they are normalised over the draft
    vocabulary alone.
    """

    logits: torch.Tensor
    laws: torch.Tensor
    weights: torch.Tensor
    log_normalisers: torch.Tensor | None = None

    def log_probs(self) -> torch.Tensor:
        """[positions, draft vocabulary] of the drafter, nats."""
        logits = self.logits.float()
        if self.log_normalisers is None:
            return torch.log_softmax(logits, dim=-1)
        return logits - self.log_normalisers[:, None]


def scores_of(steps: Iterable[StepLaws]) -> StepScores:
    """Scores of every step, each a weighted mean over its positions."""
    cross_entropies: list[torch.Tensor] = []
    agreements: list[torch.Tensor] = []
    for step in steps:
        log_probs = step.log_probs()
        losses = -(step.laws * log_probs).sum(dim=-1)
        agrees = (log_probs.argmax(dim=-1) == step.laws.argmax(dim=-1)).float()
        total = step.weights.sum()
        cross_entropies.append((step.weights * losses).sum() / total)
        agreements.append((step.weights * agrees).sum() / total)
    return StepScores(torch.stack(cross_entropies), torch.stack(agreements).detach())


@torch.no_grad()
def target_laws(states: torch.Tensor, output_rows: torch.Tensor) -> torch.Tensor:
    """[positions, draft vocabulary] the target's laws given the draft vocabulary, from its last states."""
    return torch.softmax((states @ output_rows.T).float(), dim=-1)
