"""The exact optimum E[X] on laws small enough to enumerate: the truth that bounds are held against."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import product


def largest_path_probabilities(
    law_at: Callable[[tuple[int, ...]], Sequence[float]], node_budget: int
) -> list[float]:
    """The P largest P(v) where the context after path v has law_at(v), by best-first search."""
    queue: list[tuple[float, int, tuple[int, ...]]] = [(-1.0, 0, ())]
    taken: list[float] = []
    while queue and len(taken) < node_budget:
        negative, _, path = heapq.heappop(queue)
        taken.append(-negative)
        for token, probability in enumerate(law_at(path)):
            if probability > 0.0:
                heapq.heappush(queue, (negative * probability, len(path) + 1, (*path, token)))
    return taken


def single_law_optimum(law: Sequence[float], node_budget: int) -> float:
    """E[X] of the best tree when every context has one law (Lemma 1: the sum of the P largest P(v))."""
    return sum(largest_path_probabilities(lambda _path: law, node_budget))


def mixture_optimum(laws: Sequence[Sequence[float]], weights: Sequence[float], node_budget: int) -> float:
    """E[X] with an independently drawn law per context, over every assignment of laws to contexts.

    A tree of P nodes depends on the contexts at depths below P - 1 only. P <= 4 and two tokens: 2^7 at most.
    """
    tokens = len(laws[0])
    contexts = [path for depth in range(node_budget - 1) for path in product(range(tokens), repeat=depth)]
    expectation = 0.0
    for choice in product(range(len(laws)), repeat=len(contexts)):
        probability = 1.0
        for kind in choice:
            probability *= weights[kind]
        kinds = dict(zip(contexts, choice, strict=True))
        expectation += probability * sum(
            largest_path_probabilities(lambda path, kinds=kinds: laws[kinds.get(path, 0)], node_budget)
        )
    return expectation
