"""Trees at many places of one text, scored together: what the oracle needs to be affordable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.models.causal_lm import PREFILL_PIECE, CausalLM
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.models.visibility import below

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
    reading of the text and one forward pass. roots: positions of the root tokens in the text, ascending.
    Raises InvalidInput for roots outside the text, InvalidInput or ContextOverflow for texts that do not fit.
    """

    def __init__(
        self, model: CausalLM, token_ids: list[int], roots: Sequence[int], sampling: SamplingSettings
    ) -> None:
        model.check_text_fits(token_ids)
        if not roots or min(roots) < 0 or max(roots) >= len(token_ids):
            raise InvalidInput(f"roots must lie in 0..{len(token_ids) - 1}, got {list(roots)}")
        self._model = model
        self._sampling = sampling
        self._roots = list(roots)
        self._cache = model.new_cache()
        # slot of a node -> the slots of its path, itself included, behind the committed text
        self._paths: dict[int, list[int]] = {}
        self.root_laws = self._read(token_ids)

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
        handles: list[int] = []
        laws: list[FloatArray] = []
        for start in range(0, len(nodes), LARGEST_PASS):
            part = nodes[start : start + LARGEST_PASS]
            handles += self._place(part)
            laws.append(self._pass(part, handles[start:]))
        return handles, np.concatenate(laws)

    def _read(self, token_ids: list[int]) -> FloatArray:
        """Read the text up to its last root; the laws after the roots, [roots, vocab]."""
        text = token_ids[: max(self._roots) + 1]
        roots = np.array(self._roots)
        laws: list[FloatArray] = []
        for start in range(0, len(text), PREFILL_PIECE):
            piece = text[start : start + PREFILL_PIECE]
            rows = roots[(roots >= start) & (roots < start + len(piece))] - start
            output = self._model.read(self._cache, piece, torch.from_numpy(rows) if len(rows) else 1)
            if len(rows):
                laws.append(processed_probabilities(output.logits[0].cpu().numpy(), self._sampling))
        return np.concatenate(laws)

    def _place(self, nodes: Sequence[ForestNode]) -> list[int]:
        first = self._cache.filled
        for slot, node in enumerate(nodes, start=first):
            above = [] if node.parent is None else self._paths[node.parent]
            self._paths[slot] = [*above, slot]
        return list(range(first, first + len(nodes)))

    def _pass(self, nodes: Sequence[ForestNode], slots: Sequence[int]) -> FloatArray:
        roots, paths = [self._roots[node.root] for node in nodes], [self._paths[slot] for slot in slots]
        logits = self._model.forward(
            self._cache,
            torch.tensor([[node.token for node in nodes]]),
            torch.tensor([[root + len(path) for root, path in zip(roots, paths, strict=True)]]),
            below([root + 1 for root in roots], self._cache.filled + len(nodes), paths)[None],
        ).logits[0]
        return processed_probabilities(logits.cpu().numpy(), self._sampling)
