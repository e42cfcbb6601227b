"""The best static draft tree when every node shares one law of R: Tunstall's tree, grown in O(k log k)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_count
from speclight.theory.information import SUM_ATOL


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class RankTree:
    """A tree whose edges are ranks; parents stand before children, path probabilities never increase.

    parents: [nodes], parents[0] == -1 (the root; drafted nodes are the others). ranks: [nodes] the
    candidate to draft below the parent, 1 = the drafter's first; ranks[0] == 0. path_probabilities:
    [nodes] chance that the emitted path reaches the node, 1 at the root.
    """

    parents: IntArray
    ranks: IntArray
    path_probabilities: FloatArray

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def expected_tokens(self) -> float:
        """E[#generated] per target call if the ranks along a path are i.i.d.: each node reached emits one."""
        return float(self.path_probabilities.sum())


def optimal_rank_tree(
    rank_probabilities: FloatArray, drafted_tokens: int, *, needs_lower_ranks: bool = False
) -> RankTree:
    """The tree of k drafted tokens with the largest expected number of generated tokens; O(k log k).

    rank_probabilities: [ranks] r_m = P(R = m), the same at every node; may sum to less than 1 (the rest is
    the chance that no candidate is the emitted token). They need not decrease: for races any set of ranks
    is lossless, so the tree takes the likely ones. needs_lower_ranks: set for rules that must try sibling
    1..m-1 before sibling m (all rejection rules). drafted_tokens: k >= 0, root not counted.

    The children of rank m of nodes taken in order of probability have decreasing probabilities themselves,
    so the frontier is one sorted queue per rank; the tree is the merge of these queues. Ties go to the
    lower rank, then to the older parent. Fewer than k tokens are drafted only where all other paths have
    probability 0 (also by underflow below 1e-308).

    Raises InvalidInput if the r_m are no sub-probabilities, or if they increase and lower ranks are needed:
    then the best tree is no longer the one of the most probable nodes.
    Source: optimality as Lemma 1 of arXiv 2512.11718v1; the link to Tunstall coding is stated by arXiv
    2504.15475, whose body was not available: the algorithm is our reconstruction.
    """
    rates = _check_rank_probabilities(rank_probabilities)
    budget = 0 if drafted_tokens == 0 else check_count(drafted_tokens, "drafted_tokens")
    if needs_lower_ranks and (np.diff(rates) > 0.0).any():
        raise InvalidInput(
            f"rank {int(np.argmax(np.diff(rates) > 0.0)) + 2} is likelier than the rank before it, but this "
            "rule must try lower ranks first; average the acceptance law over more contexts, or use a race"
        )
    by_probability = np.argsort(-rates, kind="stable")
    by_probability = by_probability[rates[by_probability] > 0.0]
    parents, places, paths = _merge_rank_queues(rates[by_probability].tolist(), budget)
    ranks = np.concatenate([[0], by_probability[np.array(places[1:], dtype=np.int64)] + 1])
    return RankTree(np.array(parents, dtype=np.int64), ranks, np.array(paths))


def _merge_rank_queues(rates: list[float], budget: int) -> tuple[list[int], list[int], list[float]]:
    """Parents, places in `rates` and path probabilities; plain lists, because a heap wants Python floats."""
    parents, places, paths = [-1], [-1], [1.0]
    heap = [(-rates[0], 0, 0)] if rates else []  # (minus probability, place, parent): head of each queue
    replace_head, last = heapq.heapreplace, len(rates) - 1
    for _ in range(budget if rates else 0):
        minus_path, place, parent = heap[0]
        if minus_path == 0.0:  # every path left has underflowed
            break
        parents.append(parent)
        places.append(place)
        paths.append(-minus_path)
        # The next parent exists: a node is appended per round, and a round moves one queue by one.
        replace_head(heap, (-(paths[parent + 1] * rates[place]), place, parent + 1))
        if parent == 0 and place < last:  # a rank's queue opens once the likelier rank is used
            heapq.heappush(heap, (-rates[place + 1], place + 1, 0))
    return parents, places, paths


def _check_rank_probabilities(rank_probabilities: FloatArray) -> FloatArray:
    rates = np.asarray(rank_probabilities, dtype=np.float64)
    if rates.ndim != 1 or rates.size == 0:
        raise InvalidInput(f"rank probabilities must be a vector [ranks], got shape {rates.shape}")
    if not (rates >= 0.0).all() or float(rates.sum()) > 1.0 + SUM_ATOL:  # also catches NaN
        raise InvalidInput(
            f"rank probabilities must be >= 0 and sum to at most 1, got minimum {rates.min()} and sum "
            f"{rates.sum()}; divide rank counts by the number of contexts"
        )
    return rates
