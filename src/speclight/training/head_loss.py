"""The loss of an EAGLE-3 head on a batch, and how often it agrees with the target."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.unrolled import unrolled_states
from speclight.training.text_batches import TextBatch

# Loss of step j counts this to the power j: later steps are reached only if the earlier ones were accepted.
STEP_WEIGHT = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class StepScores:
    """By unrolled step: mean cross-entropy to the target's law given the draft vocabulary (nats per token),
    and the share of positions where the head's best token is the target's, both [steps].
    """

    cross_entropies: torch.Tensor
    agreements: torch.Tensor

    @property
    def loss(self) -> torch.Tensor:
        """Weighted mean over the steps."""
        weights = STEP_WEIGHT ** torch.arange(len(self.cross_entropies), dtype=torch.float32)
        return (weights * self.cross_entropies).sum() / weights.sum()


def step_scores(
    network: Eagle3Network, batch: TextBatch, features: torch.Tensor, output_rows: torch.Tensor, steps: int
) -> StepScores:
    """Scores of every unrolled step on a batch.

    features: the batch's, in the network's units. output_rows: [draft vocabulary, hidden] the target's output
    matrix at the tokens that can be drafted.
    """
    with torch.no_grad():
        chosen = batch.weights > 0
        laws = torch.softmax((batch.next_states[chosen] @ output_rows.T).float(), dim=-1)
        row_of = torch.full(batch.weights.shape, -1)
        row_of[chosen] = torch.arange(len(laws))
    cross_entropies: list[torch.Tensor] = []
    agreements: list[torch.Tensor] = []
    for step, states in enumerate(unrolled_states(network, batch.next_tokens, features, steps)):
        # At position p the texts' first states are the head's own only up to step p.
        seen = chosen.clone()
        seen[:, :step] = False
        weights, law = batch.weights[seen], laws[row_of[seen]]
        log_probs = torch.log_softmax(network.logits(states[seen]).float(), dim=-1)
        losses = -(law * log_probs).sum(dim=-1)
        cross_entropies.append((weights * losses).sum() / weights.sum())
        agrees = (log_probs.argmax(dim=-1) == law.argmax(dim=-1)).float()
        agreements.append((weights * agrees).sum() / weights.sum())
    return StepScores(torch.stack(cross_entropies), torch.stack(agreements).detach())
