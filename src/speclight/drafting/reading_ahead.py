"""What a drafter works out while the target scores its draft: the laws of what may come next."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from speclight.drafting.path_scorer import TokenPath
from speclight.drafting.protocol import LawSource
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import CandidateLaw, Draft

# Nodes asked for in one call of the drafter: about as many as cost no more than one on a CPU.
NODES_A_CALL = 8
# Nodes beyond those drafted among which there are some worth asking for.
NODES_BEYOND = 128


class ReadingAhead:
    """The draft's tree as it would grow with a larger budget, a few nodes at a time, the likeliest first.

    Whatever the verdict is, the next draft begins at a node of that larger tree (an accepted path and the
    target's own token after it) or outside of it. So a node's law is of use about as often as the drafter
    gives its path a chance, and the nodes asked for are those of the most probable paths (Lemma 1 of arXiv
    2512.11718v1), below whichever end of the verdict they lie.

    Source of the idea: Liu et al. 2024, "PEARL: Parallel Speculative Decoding with Adaptive Draft Length"
    (arXiv 2408.11850), section 4.2, "post-verify", which goes on with the chain drafted as if all of it were
    accepted. Ours in that the end of the verdict is not guessed: a likelier end has more of its tree ready.

    draft: the one being scored. never_drafted: tokens that never become nodes (end of text).
    paths: those asked for so far, from the draft's root.
    """

    def __init__(self, source: LawSource, draft: Draft, never_drafted: Collection[int]) -> None:
        self.paths: list[TokenPath] = []
        self._source = source
        budget = len(draft.tree) + NODES_BEYOND
        self._growth = BestFirstGrowth(int(draft.tree.tokens[0]), budget, never_drafted)
        self._take_in(draft.laws)

    def step(self) -> bool:
        """Ask for the laws of a few nodes more in one call; whether there may be others."""
        growth = self._growth
        asked = growth.unexpanded()[:NODES_A_CALL]
        if not asked:
            return False
        for node, law in zip(asked, self._source.laws(growth.known, asked), strict=True):
            growth.expand(node, law)
            self.paths.append(growth.known.token_path(node))
        return True

    def _take_in(self, laws: Mapping[TokenPath, CandidateLaw]) -> None:
        """The laws that the draft was grown from, a node's before those of its children."""
        growth = self._growth
        places: dict[TokenPath, int] = {(): 0}
        for path, law in laws.items():
            if path in places:
                first = len(growth.known.tokens)
                growth.expand(places[path], law)
                new = enumerate(growth.known.tokens[first:], start=first)
                places.update(((*path, token), node) for node, token in new)
