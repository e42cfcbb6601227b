"""The law of an EAGLE-3 head along drafted paths."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.drafting.eagle3.head_pass import head_pass
from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.path_scorer import TokenPath
from speclight.errors import InvalidInput
from speclight.models.kv_cache import PathCache
from speclight.models.static_passes import PassInputs, PassOutputs, StaticPasses
from speclight.models.visibility import below, causal
from speclight.trees.growing_tree import CandidateLaw, GrowingTree

NOTHING = CandidateLaw(np.array([], dtype=np.int64), np.array([]))


class Eagle3Law:
    """Position p of the head reads the target's features at p and the token at p + 1.

    So the root's law needs the features of every committed token but the last, which is just what decoding
    hands over; below the root the head's own state stands in for them. When tokens are committed, the
    drafted positions are dropped and read again with the true features, which by then have come.

    target_ids: [draft vocabulary] the target's token of each row of the head. A text of one token has no
    features yet, so nothing is drafted after it. static_passes: of the network, where they are faster.
    """

    def __init__(
        self,
        name: str,
        network: Eagle3Network,
        target_ids: IntArray,
        static_passes: StaticPasses | None = None,
    ) -> None:
        self.name = name
        self._static_passes = static_passes
        self.hidden_layers = network.conventions.layers
        self._network = network
        self._target_ids = target_ids
        self._embedding = network.embed_tokens.weight  # of the states' type, which matrices may not be
        self._cache = PathCache(network.sizes.decoder_layers)
        self._slot_positions: list[int] = []
        self._tokens: list[int] = []
        self._unread: list[torch.Tensor] = []
        self._states: dict[TokenPath, torch.Tensor] = {}
        self._laws: dict[TokenPath, CandidateLaw] = {}
        self._slots: dict[TokenPath, int] = {}

    @torch.inference_mode()
    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""
        self._cache = PathCache(self._network.sizes.decoder_layers)
        self._tokens = []
        self._unread = []
        self.extend(token_ids, features)
        if features is not None and len(features) > 1:
            # Reading the prompt is no part of the first draft; its last position is, as after every call.
            self._check_read(len(features))
            self._read(self._unread[0][:-1])
            self._unread = [self._unread[0][-1:]]

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""
        self._tokens += token_ids
        if features is not None:
            self._unread.append(features.to(self._embedding))
        self._states, self._laws, self._slots = {}, {}, {}
        if self._cache.filled > self._cache.committed:
            self._cache.keep([])

    @torch.inference_mode()
    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        paths = [known.token_path(node) for node in nodes]
        if len(self._tokens) < 2:
            return [NOTHING for _ in paths]
        if self._unread:
            self._read_committed()
        new = [path for path in dict.fromkeys(paths) if path not in self._laws]
        # A chain asked for at once is read a node at a time: each is fed with the state before it.
        for _, level in groupby(sorted(new, key=len), key=len):
            self._read_drafted(list(level))
        return [self._laws[path] for path in paths]

    def _read_committed(self) -> None:
        features = torch.cat(self._unread)
        self._check_read(self._cache.committed + len(features))
        output = self._read(features)
        self._unread = []
        self._remember([()], output)

    def _check_read(self, positions: int) -> None:
        """Every token but the last must have its features."""
        if positions != len(self._tokens) - 1:
            raise InvalidInput(
                f"got features of {positions} positions for a text of {len(self._tokens)} tokens, expected "
                f"one fewer than tokens; ask decoding for the states entering layers {self.hidden_layers}"
            )

    def _read(self, features: torch.Tensor) -> PassOutputs:
        """What the last of the positions read gives; they are committed."""
        first = self._cache.committed
        positions = list(range(first, first + len(features)))
        tokens = self._tokens[first + 1 : first + len(features) + 1]
        visible = causal(len(tokens), first)
        output = self._forward(tokens, self._network.fuse(features), positions, visible, wanted=1)
        self._cache.keep(positions)
        return output

    def _read_drafted(self, paths: list[TokenPath]) -> None:
        committed, filled = self._cache.committed, self._cache.filled
        hidden = self._network.fed_back(torch.stack([self._states[path[:-1]] for path in paths]))
        self._slots.update((path, filled + place) for place, path in enumerate(paths))
        seen = [[self._slots[path[:depth]] for depth in range(1, len(path) + 1)] for path in paths]
        visible = below([committed] * len(paths), filled + len(paths), seen)
        positions = [committed - 1 + len(path) for path in paths]
        tokens = [path[-1] for path in paths]
        self._remember(paths, self._forward(tokens, hidden, positions, visible, len(paths)))

    def _forward(
        self,
        tokens: list[int],
        hidden: torch.Tensor,
        positions: list[int],
        visible: torch.Tensor,
        wanted: int,
    ) -> PassOutputs:
        """Of the last new positions, as many as wanted. hidden: [new, hidden size] on the device."""
        self._slot_positions = self._slot_positions[: self._cache.filled] + positions
        given = PassInputs(
            torch.tensor([tokens]),
            torch.tensor([positions]),
            visible[None],
            torch.tensor([self._slot_positions]),
            hidden[None],
        )
        if self._static_passes is not None:
            output = self._static_passes.run(self._cache, given)
            if output is not None:
                assert output.features is not None
                return PassOutputs(output.logits[:, -wanted:], output.features[:, -wanted:])
        device = self._embedding.device
        there = PassInputs(
            given.tokens.to(device),
            given.positions.to(device),
            given.visible.to(device),
            given.slot_positions,
            given.states,
        )
        return head_pass(self._network, self._cache, there, wanted)

    def _remember(self, paths: list[TokenPath], output: PassOutputs) -> None:
        assert output.features is not None
        rows = output.logits[0].cpu().numpy()
        for path, state, row in zip(paths, output.features[0], rows, strict=True):
            self._states[path] = state
            self._laws[path] = CandidateLaw(self._target_ids, row)
