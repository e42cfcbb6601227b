"""The interface of a drafter, and of the law most drafters draw their trees from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from speclight.arrays import FloatArray, IntArray
from speclight.models.kv_cache import PathCache
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, Draft, DraftCost, GrowingTree
from speclight.trees.paced_growth import NodeWorth


class DraftNoise(Protocol):
    """Randomness for drafting, independent of everything verification uses."""

    def sample(self, law: FloatArray) -> int:
        """A fresh draw from `law` ([vocab], sums to 1)."""
        ...


class Drafter(Protocol):
    """Proposes a draft tree for the text that decoding has committed so far.

    hidden_layers: numbers of the target's states that the drafter wants (see ForwardPass); empty for drafters
    that need none. `begin` and `extend` then hand over the features of the positions that entered the
    target's cache since the last hand-over, in order: of all committed tokens but the last. [positions,
    layers * hidden size], side by side in the order asked for.
    """

    @property
    def hidden_layers(self) -> tuple[int, ...]:
        """See the class."""
        ...

    @property
    def name(self) -> str:
        """The name used on the command line and in records."""
        ...

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """Start a new text: the prompt's tokens, all committed."""
        ...

    def propose(self, node_budget: int, noise: DraftNoise) -> Draft:
        """A tree of at most `node_budget` nodes (root included) rooted at the last committed token.

        The budget is a ceiling: a drafter that has nothing to say returns the root alone.
        """
        ...

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """Tokens that the call just emitted: they are now committed."""
        ...


class LawSource(Protocol):
    """A conditional law of the next token along any drafted path: an n-gram table, a model, a head."""

    @property
    def name(self) -> str:
        """The drafter's name."""
        ...

    @property
    def hidden_layers(self) -> tuple[int, ...]:
        """See Drafter."""
        ...

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        ...

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        ...

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """The law after each of the given nodes, in one batched call.

        known: the tree grown so far on the committed text; it only grows between `extend`s, parents are
        asked for before their children or together with them, and its root is the last committed token.
        """
        ...


# What a drafter or a law source may be able to do besides. Decoding and TreeDrafter ask by isinstance.


@runtime_checkable
class BorrowsTargetCache(Protocol):
    """Computes with the target's own cache of the committed text instead of reading the text once more."""

    def borrow(self, cache: PathCache) -> None:
        """The target's cache of the text that the next `begin` starts, all but its last token committed.

        It is used only while drafting, and given back with no slot of the draft left in it. Without this
        call the text is read into a cache of the drafter's own: slower, the same drafts.
        """
        ...


@runtime_checkable
class GivesBackTargetCache(BorrowsTargetCache, Protocol):
    """A law source that borrows: told when a draft is done, so that it removes its slots."""

    def give_back(self) -> None:
        """Drop everything the draft put into the borrowed cache."""
        ...


@runtime_checkable
class ObservesScores(Protocol):
    """Learns from the target's scores of a whole draft tree, rejected nodes included."""

    @property
    def observes(self) -> bool:
        """Whether it does; the scores of all nodes are looked through only then."""
        ...

    def observe(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """The target's most probable token after each node, [nodes]; after each call, before `extend`."""
        ...


@runtime_checkable
class KeepsPace(Protocol):
    """A drafter that asks, while it grows a tree, what is worth its cost."""

    @property
    def grows(self) -> bool:
        """Whether it can: trees of samples must not depend on their values."""
        ...

    def keep_pace(self, worth: NodeWorth | None) -> None:
        """Whom to ask from the next draft on; None: nobody."""
        ...


@runtime_checkable
class DraftsAhead(Protocol):
    """A drafter that can go on with its draft while the target scores it.

    It is never asked for anything else meanwhile, but from another thread; and the target's cache is not lent
    to it, which the target is then writing to.
    """

    @property
    def drafts_ahead(self) -> bool:
        """Whether it can: what it works out must still hold when the target's verdict is known."""
        ...

    def draft_ahead(self) -> bool:
        """Work out, in one call, more of what the next draft may need; False: there is nothing left to."""
        ...


@runtime_checkable
class MetersItsCost(Protocol):
    """A law source whose calls are not one per level: some laws it knows already, some it asks for early."""

    def spent(self) -> DraftCost:
        """Calls made and nodes expanded since the last time this was asked."""
        ...


@runtime_checkable
class KeepsLaws(MetersItsCost, Protocol):
    """A law source whose laws depend on the tokens alone, and that keeps them.

    The law after a drafted path is the one after the same tokens in the text, so what was asked for below the
    emitted tokens is not computed again after `extend`. Not so where a law needs the target's states or
    scores, or counts what is committed. Nor while it borrows the target's cache.
    """

    @property
    def keeps_laws(self) -> bool:
        """Yes: it says so by having this."""
        ...
