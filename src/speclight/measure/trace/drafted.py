"""What a drafter would have drafted at one stop of a text: all growths at all budgets, as one tree."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import IntArray
from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.along_text import AlongText
from speclight.drafting.tree_drafter import GrowthStart
from speclight.measure.trace.traced import GrowthCost
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree, LawsAfter, grown
from speclight.trees.tree_union import union_of


@dataclass(frozen=True, slots=True, eq=False)
class DraftedUnion:
    """All trees of one drafter at one place. ranks, costs: as in TracedTree and TracedDrafter."""

    tree: DraftTree
    ranks: IntArray
    costs: tuple[GrowthCost, ...]


class KnownLaws:
    """A drafter's laws at one stop, each asked for once, whichever growth comes first, and cut to its best.

    most: candidates kept of each law, best first; as many as any growth may look at. never_drafted: tokens
    left out.
    """

    def __init__(self, laws_after: LawsAfter, most: int, never_drafted: Collection[int]) -> None:
        self._laws_after = laws_after
        self._most = most
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)
        self._known: dict[tuple[int, ...], CandidateLaw] = {}

    def __call__(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawsAfter."""
        paths = [known.token_path(node) for node in nodes]
        missing = [(path, node) for path, node in zip(paths, nodes, strict=True) if path not in self._known]
        if missing:
            laws = self._laws_after(known, [node for _, node in missing])
            for (path, _), law in zip(missing, laws, strict=True):
                self._known[path] = law.likeliest(self._most, self._never_drafted)
        return [self._known[path] for path in paths]

    def ranks(self, tree: DraftTree) -> IntArray:
        """[nodes] place of each node of a tree grown from these laws among its parent's candidates."""
        ranks = np.full(len(tree), -1)
        paths: list[tuple[int, ...]] = [()]
        for node in range(1, len(tree)):
            above, token = paths[tree.parents[node]], int(tree.tokens[node])
            ranks[node] = np.flatnonzero(self._known[above].tokens == token)[0]
            paths.append((*above, token))
        return ranks


def drafted_union(
    along: AlongText,
    growths: Mapping[str, GrowthStart],
    trees: Sequence[tuple[str, int]],
    never_drafted: Collection[int],
) -> DraftedUnion:
    """The union of the trees that the drafter would have drafted where it stands, and what each cost.

    growths: by name; they draft without noise. trees: growth and node budget of each. A cost is what that
    tree alone would have paid.
    """
    laws = KnownLaws(along.source.laws, max(budget for _, budget in trees), never_drafted)
    noise = SeededNoise(0).for_draft()  # deterministic trees take none
    drafts = [grown(growths[name](along.root, budget, noise), laws) for name, budget in trees]
    costs = tuple(
        GrowthCost(*each, draft.cost.calls, draft.cost.expanded_nodes)
        for each, draft in zip(trees, drafts, strict=True)
    )
    union = union_of([draft.tree for draft in drafts]).tree
    return DraftedUnion(union, laws.ranks(union), costs)
