"""Which tokens a head may draft: those the target is most likely to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.training.shards import ScoredConversation
from speclight.training.text_batches import some_texts

# Positions whose whole laws decide on the draft vocabulary.
VOCABULARY_POSITIONS = 16384
# Number of positions whose laws over the whole vocabulary are computed at once.
ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True, eq=False)
class DraftVocabulary:
    """The tokens that a head may draft.

    target_ids: [draft vocabulary] ascending. miss_probability: the target's mass on all other tokens, mean
    over the positions counted (eps of Lemma 7).
    """

    target_ids: torch.Tensor
    miss_probability: float


def choose_draft_vocabulary(
    texts: list[ScoredConversation], output_matrix: torch.Tensor, size: int, positions: int
) -> DraftVocabulary:
    """The `size` tokens with the largest mean probability over about `positions` positions of the texts.

    The target's whole laws are summed, not the tokens it happened to draw: so a rare token is ranked by its
    probability and not by luck. output_matrix: [vocabulary, hidden size]. Raises InvalidInput for a size
    outside 1 to vocabulary.
    """
    if not 1 <= size <= len(output_matrix):
        raise InvalidInput(f"the draft vocabulary must have 1 to {len(output_matrix)} tokens, got {size}")
    states = torch.cat([text.last_states[text.written_from :] for text in texts])
    states = states[:: max(1, len(states) // positions)].to(output_matrix.dtype)
    device = output_matrix.device
    mass = torch.zeros(len(output_matrix), dtype=torch.float64, device=device)
    for rows in states.split(ROWS_AT_ONCE):
        logits = (rows.to(device) @ output_matrix.T).float()
        mass += torch.softmax(logits, dim=1).sum(dim=0, dtype=torch.float64)
    mass = mass.cpu()
    target_ids = torch.topk(mass, size).indices.sort().values
    return DraftVocabulary(target_ids, 1.0 - float(mass[target_ids].sum() / mass.sum()))


def vocabulary_of_texts(target: CausalLM, folder: Path, size: int) -> torch.Tensor:
    """`choose_draft_vocabulary` for the texts of a folder: [size] the target's tokens, ascending."""
    matrix = output_matrix(target).float()
    return choose_draft_vocabulary(some_texts(folder), matrix, size, VOCABULARY_POSITIONS).target_ids
