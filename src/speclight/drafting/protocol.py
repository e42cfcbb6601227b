"""The interface of a drafter, and of the law most drafters draw their trees from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from speclight.trees.draft_tree import DraftTree, FloatArray
from speclight.trees.growing_tree import CandidateLaw, GrowingTree


class DraftNoise(Protocol):
    """Randomness for drafting, independent of everything verification uses."""

    def sample(self, law: FloatArray) -> int:
        """A fresh draw from `law` ([vocab], sums to 1)."""
        ...


@dataclass(frozen=True, slots=True)
class DraftCost:
    """What one draft took besides time: batched drafter calls and nodes whose law was computed."""

    calls: int
    expanded_nodes: int


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A proposed tree and what it cost."""

    tree: DraftTree
    cost: DraftCost


class Drafter(Protocol):
    """Proposes a draft tree for the text that decoding has committed so far.

    hidden_layers: layers of the target whose entering states the drafter wants (index as Transformers
    counts `hidden_states`); empty for drafters that need none. `begin` and `extend` then hand over the
    features of the positions that entered the target's cache since the last hand-over, in order: of all
    committed tokens but the last. [positions, layers * hidden size], side by side in the order asked for.
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
        asked for before their children, and its root is the last committed token.
        """
        ...
