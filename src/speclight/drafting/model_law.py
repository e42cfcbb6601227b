"""The law of a causal language model along drafted paths."""

from __future__ import annotations

import numpy as np
import torch

from speclight.arrays import FloatArray
from speclight.drafting.path_scorer import PathScorer, TokenPath
from speclight.drafting.vocabulary import NO_TOKEN, TokenMap
from speclight.models.causal_lm import CausalLM
from speclight.models.kv_cache import PathCache
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.trees.growing_tree import CandidateLaw, DraftCost, GrowingTree

NOTHING = CandidateLaw(np.array([], dtype=np.int64), np.array([]))


class ModelLaw:
    """A model's next-token law, over the tokens that the target knows too.

    name: the drafter's. sampling: how its logits become a law; tokens without a counterpart are excluded
    before that, so the law is the model's, given that the token can be drafted. Outside the model's window
    nothing is possible.
    """

    hidden_layers: tuple[int, ...] = ()
    keeps_laws = True

    def __init__(self, name: str, model: CausalLM, tokens: TokenMap, sampling: SamplingSettings) -> None:
        self.name = name
        self._scorer = PathScorer(model, tokens)
        self._tokens = tokens
        self._sampling = sampling
        shared = np.flatnonzero(tokens.target_ids != NO_TOKEN)
        self._target_ids = tokens.target_ids[shared]
        self._columns = None if len(shared) == len(tokens.target_ids) else torch.from_numpy(shared)

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._scorer.begin(token_ids)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._scorer.extend(token_ids)

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        paths = [known.token_path(node) for node in nodes]
        self.score(paths)
        return [self.law_after(path) for path in paths]

    def spent(self) -> DraftCost:
        """See MetersItsCost."""
        return self._scorer.spent()

    def is_scored(self, path: TokenPath) -> bool:
        """Whether the law after this path is known without a call."""
        return self._scorer.is_scored(path)

    def can_read(self, token: int) -> bool:
        """Whether a path may hold this token: whether the model has it too."""
        return self._tokens.draft_ids[token] != NO_TOKEN

    def score(self, paths: list[TokenPath]) -> None:
        """See PathScorer."""
        self._scorer.score(paths)

    def law_after(self, path: TokenPath) -> CandidateLaw:
        """The law after a path that was scored."""
        row = self._scorer.row(path)
        if row is None:
            return NOTHING
        if self._columns is not None:
            row = row[self._columns]
        return CandidateLaw(self._target_ids, _log_probabilities(row, self._sampling))


class SharedCacheLaw(ModelLaw):
    """The law of the target, or of its first layers, computed in the target's own cache."""

    def borrow(self, cache: PathCache) -> None:
        """See BorrowsTargetCache."""
        self._scorer.borrow(cache)

    def give_back(self) -> None:
        """See GivesBackTargetCache."""
        self._scorer.give_back()


def _log_probabilities(logits: torch.Tensor, sampling: SamplingSettings) -> FloatArray:
    """[tokens] float64."""
    if sampling.temperature > 0.0 and sampling.top_k is None and sampling.top_p is None:
        return torch.log_softmax(logits.double() / sampling.temperature, dim=0).cpu().numpy()
    with np.errstate(divide="ignore"):  # excluded tokens have probability 0
        return np.log(processed_probabilities(logits.cpu().numpy()[None], sampling)[0])
