"""How well a drafter's laws fit the target's, by drafted step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

# Loss of step j counts this to the power j: later steps are reached only if the earlier ones were accepted.
STEP_WEIGHT = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class StepScores:
    """By drafted step: mean cross-entropy to the target's law (nats per token), the share of positions where
    the drafter's best token is the target's, and the weight of the positions that these are means over, all
    [steps].
    """

    cross_entropies: torch.Tensor
    agreements: torch.Tensor
    weights: torch.Tensor

    @property
    def loss(self) -> torch.Tensor:
        """Weighted mean over the steps."""
        steps = torch.arange(len(self.cross_entropies), device=self.cross_entropies.device)
        weights = STEP_WEIGHT ** steps.float()
        return (weights * self.cross_entropies).sum() / weights.sum()


@dataclass(frozen=True, slots=True, eq=False)
class StepLaws:
    """One step where it counts: the drafter's logits and the target's laws [positions, tokens], weights
    [positions].
    """

    logits: torch.Tensor
    laws: torch.Tensor
    weights: torch.Tensor


def scores_of(steps: Iterable[StepLaws]) -> StepScores:
    """Scores of every step, each a weighted mean over its positions."""
    cross_entropies: list[torch.Tensor] = []
    agreements: list[torch.Tensor] = []
    weights: list[torch.Tensor] = []
    for step in steps:
        log_probs = torch.log_softmax(step.logits.float(), dim=-1)
        losses = -(step.laws * log_probs).sum(dim=-1)
        agrees = (log_probs.argmax(dim=-1) == step.laws.argmax(dim=-1)).float()
        total = step.weights.sum()
        cross_entropies.append((step.weights * losses).sum() / total)
        agreements.append((step.weights * agrees).sum() / total)
        weights.append(total)
    return StepScores(torch.stack(cross_entropies), torch.stack(agreements).detach(), torch.stack(weights))


def merged(parts: Sequence[StepScores]) -> StepScores:
    """Scores over the positions of all parts together."""
    weights = torch.stack([part.weights for part in parts])
    shares = weights / weights.sum(dim=0)
    return StepScores(
        (shares * torch.stack([part.cross_entropies for part in parts])).sum(dim=0),
        (shares * torch.stack([part.agreements for part in parts])).sum(dim=0),
        weights.sum(dim=0),
    )


@torch.no_grad()
def target_laws(states: torch.Tensor, output_rows: torch.Tensor) -> torch.Tensor:
    """[positions, rows] the target's laws given the tokens of some output rows, from its last states."""
    return torch.softmax((states @ output_rows.T).float(), dim=-1)
