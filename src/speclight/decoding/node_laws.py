"""The target's law after the nodes of one scored tree, processed where a verdict looks and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.logits_processors import LogitsProcessor, processed
from speclight.models.sampling import SamplingSettings, law_on_device, processed_probabilities
from speclight.trees.draft_tree import DraftTree


class NodeLaws:
    """[vocab] laws by node, each computed once, with the node's own prefix.

    text: committed tokens up to the root. logits: [nodes, vocab] of the target, unprocessed.
    """

    def __init__(
        self,
        text: Sequence[int],
        tree: DraftTree,
        logits: torch.Tensor,
        sampling: SamplingSettings,
        processors: Sequence[LogitsProcessor],
    ) -> None:
        # Read once for all nodes, and only where processors want to see it.
        self._text = torch.tensor(text, device=logits.device) if processors else None
        self._tree = tree
        self._logits = logits
        self._sampling = sampling
        self._processors = processors
        self._scores: dict[int, torch.Tensor] = {}
        self._laws: dict[int, FloatArray] = {}

    def __call__(self, node: int) -> FloatArray:
        """The law of the token after a node."""
        if node not in self._laws:
            scores = self._processed_scores(node)
            self._laws[node] = (
                law_on_device(scores, self._sampling)
                if scores.device.type == "cuda"
                else processed_probabilities(scores.cpu().numpy()[None], self._sampling)[0]
            )
        return self._laws[node]

    def top_two_margins(self, nodes: IntArray) -> tuple[float, ...]:
        """Gap between the two largest processed logits after each node, before temperature."""
        if len(self._logits[0]) < 2:
            return (float("inf"),) * len(nodes)
        return tuple(_margin(self._processed_scores(int(node))) for node in nodes)

    def node_log_probs(self) -> FloatArray:
        """[nodes] log-probability of each node given its parent, -inf where impossible; 0 at the root."""
        log_probs = np.zeros(len(self._tree))
        with np.errstate(divide="ignore"):
            for node in range(1, len(self._tree)):
                law = self(int(self._tree.parents[node]))
                log_probs[node] = np.log(law[self._tree.tokens[node]])
        return log_probs

    def _processed_scores(self, node: int) -> torch.Tensor:
        if self._text is None:
            return self._logits[node]
        if node not in self._scores:
            below_root = torch.from_numpy(self._tree.tokens[self._tree.path(node)[1:]])
            prefix = torch.cat((self._text, below_root.to(self._text)))
            self._scores[node] = processed(self._processors, prefix, self._logits[node])
        return self._scores[node]


def _margin(scores: torch.Tensor) -> float:
    """Gap between the two largest of [vocab]; on a CPU numpy takes a third of the time torch's topk does."""
    if scores.device.type != "cpu":
        first, second = torch.topk(scores, 2).values.tolist()
        return first - second
    row = scores.numpy()
    best = int(row.argmax())
    others = [part.max() for part in (row[:best], row[best + 1 :]) if len(part)]
    return float(row[best]) - float(max(others))
