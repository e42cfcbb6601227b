"""Trees at many places of one text, scored together: what the oracle needs to be affordable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.models.causal_lm import PREFILL_PIECE, CausalLM
from speclight.models.joint_cache import JointCache
from speclight.models.readings import Begun, of_layers
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.models.visibility import below, side_by_side

# Nodes per forward pass: bounds the logits held at once (50 MB at a vocabulary of 49152).
LARGEST_PASS = 256


@dataclass(frozen=True, slots=True)
class ForestNode:
    """A node to score: which root its tree belongs to, its token, and its parent's handle.

    parent: what `score` returned for the parent, or will return (see `Forest.next_handle`) if it stands
    before the node in the same call; None for a child of the root.
    """

    root: int
    token: int
    parent: int | None


class Forest:
    """Scores nodes of trees rooted at several positions of one text, each seeing only its own past.

    A node attends to the text up to its root and to its ancestors, so trees at different places share one
    reading of the text and one forward pass; `score_forests` lets several texts share passes too.
    roots: positions of the root tokens in the text, ascending. hidden_layers: layers whose entering states
    are kept of all positions read, up to the last root, as `features`. begun: a beginning of the text that
    was read already, with these layers' states.
    Raises InvalidInput for roots outside the text, or before its beginning that was read, and for another
    text's beginning; InvalidInput or ContextOverflow for texts that do not fit.
    """

    def __init__(
        self,
        model: CausalLM,
        token_ids: list[int],
        roots: Sequence[int],
        sampling: SamplingSettings,
        hidden_layers: tuple[int, ...] = (),
        begun: Begun | None = None,
    ) -> None:
        model.check_text_fits(token_ids)
        if not roots or min(roots) < 0 or max(roots) >= len(token_ids):
            raise InvalidInput(f"roots must lie in 0..{len(token_ids) - 1}, got {list(roots)}")
        self._model = model
        self._sampling = sampling
        self._roots = list(roots)
        self._cache = model.new_cache() if begun is None else begun.goes_on(token_ids, hidden_layers)
        if min(roots) < self._cache.committed:
            raise InvalidInput(
                f"got a root at {min(roots)}, expected none before {self._cache.committed}: so many tokens "
                "were read before; begin with fewer"
            )
        # slot of a node -> the slots of its path, itself included, behind the committed text
        self._paths: dict[int, list[int]] = {}
        self._hidden_layers = hidden_layers
        self._features = [] if begun is None or begun.features is None else [begun.features]
        self.root_laws = self._read(token_ids)

    def features(self, layers: tuple[int, ...]) -> torch.Tensor | None:
        """[positions, layers * hidden size] of some of the hidden_layers; None where none is asked for."""
        if not layers:
            return None
        return of_layers(torch.cat(self._features), self._hidden_layers, layers)

    @property
    def next_handle(self) -> int:
        """The handle of the first node of the next `score`; those of the others count on from it."""
        return self._cache.filled

    def forget(self) -> None:
        """Drop all nodes, whose handles are void from then on; the text stays read."""
        self._cache.keep([])
        self._paths = {}

    def score(self, nodes: Sequence[ForestNode]) -> tuple[list[int], FloatArray]:
        """Handles of the nodes and the law after each, [nodes, vocab]."""
        (found,) = score_forests([self], [nodes])
        return found

    def _read(self, token_ids: list[int]) -> FloatArray:
        """Read the text up to its last root; the laws after the roots, [roots, vocab]."""
        end, roots = max(self._roots) + 1, np.array(self._roots)
        laws: list[FloatArray] = []
        for start in range(self._cache.committed, end, PREFILL_PIECE):
            piece = token_ids[start : min(start + PREFILL_PIECE, end)]
            rows = roots[(roots >= start) & (roots < start + len(piece))] - start
            asked = torch.from_numpy(rows) if len(rows) else 1
            output = self._model.read(self._cache, piece, asked, self._hidden_layers)
            if output.features is not None:
                self._features.append(output.features[0])
            if len(rows):
                laws.append(processed_probabilities(output.logits[0].cpu().numpy(), self._sampling))
        return np.concatenate(laws)

    def _place(self, nodes: Sequence[ForestNode]) -> _Placed:
        """Give nodes the next slots, and say what the model is to see of each."""
        first = self._cache.filled
        for slot, node in enumerate(nodes, start=first):
            above = [] if node.parent is None else self._paths[node.parent]
            self._paths[slot] = [*above, slot]
        slots = list(range(first, first + len(nodes)))
        roots, paths = [self._roots[node.root] for node in nodes], [self._paths[slot] for slot in slots]
        return _Placed(
            slots,
            [root + len(path) for root, path in zip(roots, paths, strict=True)],
            below([root + 1 for root in roots], first + len(nodes), paths),
        )


@dataclass(frozen=True, slots=True)
class _Placed:
    """New nodes of one forest: slots and positions, [nodes], and the forest's slots that each sees."""

    slots: list[int]
    positions: list[int]
    visible: torch.Tensor


def score_forests(
    forests: Sequence[Forest], nodes: Sequence[Sequence[ForestNode]]
) -> list[tuple[list[int], FloatArray]]:
    """What `Forest.score` gives for each forest's nodes, all of them scored in the same passes.

    forests: of one model and one law, as those that one search is made over. Nodes of a forest hold their
    order, so that a parent may stand before its child in the same call.
    """
    handles: list[list[int]] = [[] for _ in forests]
    laws: list[list[FloatArray]] = [[] for _ in forests]
    waiting = [(place, node) for place, own in enumerate(nodes) for node in own]
    for start in range(0, len(waiting), LARGEST_PASS):
        part: dict[int, list[ForestNode]] = {}
        for place, node in waiting[start : start + LARGEST_PASS]:
            part.setdefault(place, []).append(node)
        placed = [forests[place]._place(own) for place, own in part.items()]
        scored = _pass([forests[place] for place in part], placed, list(part.values()))
        for place, own, rows in zip(part, placed, scored, strict=True):
            handles[place] += own.slots
            laws[place].append(rows)
    empty = np.empty((0, forests[0].root_laws.shape[1]))
    return [
        (own, found[0] if len(found) == 1 else np.concatenate(found or [empty]))  # nearly always of one pass
        for own, found in zip(handles, laws, strict=True)
    ]


def _pass(
    forests: Sequence[Forest], placed: Sequence[_Placed], nodes: Sequence[Sequence[ForestNode]]
) -> list[FloatArray]:
    """[nodes, vocab] laws after the nodes of each forest, by one pass of the model."""
    first, counts = forests[0], [len(own) for own in nodes]
    caches = [forest._cache for forest in forests]
    logits = first._model.forward(
        caches[0] if len(caches) == 1 else JointCache(caches, counts),
        torch.tensor([[node.token for own in nodes for node in own]]),
        torch.tensor([[position for own in placed for position in own.positions]]),
        side_by_side([own.visible for own in placed])[None],
    ).logits[0]
    laws = processed_probabilities(logits.cpu().numpy(), first._sampling)
    return np.split(laws, np.cumsum(counts)[:-1])
