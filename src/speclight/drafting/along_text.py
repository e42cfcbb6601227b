"""A drafter led along a text that is already there: at each stop it drafts as it would in decoding."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
import torch

from speclight.arrays import FloatArray
from speclight.drafting.protocol import LawSource
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText
from speclight.trees.growing_tree import CandidateLaw, Draft, GrowingTree, Growth, grown


class AlongText:
    """A law source and a recorded text that it is led along, from stop to stop.

    At a stop the text's first tokens are committed, and laws and drafts are those of the next call there.
    What the source held of another text is forgotten at the first stop, without which there is no law yet.
    """

    def __init__(self, source: LawSource, token_ids: Sequence[int]) -> None:
        self.source = source
        self.token_ids = list(token_ids)
        self._committed = 0

    @property
    def root(self) -> int:
        """The last committed token, the root of drafts."""
        assert self._committed, "the first stop comes before drafts"
        return self.token_ids[self._committed - 1]

    def stop(self, committed: int, features: torch.Tensor | None) -> None:
        """Commit the given number of the text's first tokens.

        features: [positions, layers * hidden size] of the text from its first position on, at least of all
        committed ones but the last; what the source has taken in is not handed over again. None for a source
        that asks for no layers. Raises InvalidInput for a place that is not behind the last stop.
        """
        read = self._committed
        if not read < committed <= len(self.token_ids):
            raise InvalidInput(
                f"got a stop after {committed} tokens, expected {read + 1} to {len(self.token_ids)}: behind "
                "the last stop and within the text; give places in ascending order"
            )
        new = None if features is None else features[max(read - 1, 0) : committed - 1]
        (self.source.extend if read else self.source.begin)(self.token_ids[read:committed], new)
        self._committed = committed

    def law(self) -> CandidateLaw:
        """The law of the next token."""
        (law,) = self.source.laws(GrowingTree(self.root), [0])
        return law

    def laws_ahead(self, most: int | None = None) -> list[CandidateLaw]:
        """The laws from the next token on, what lies ahead as one draft: one call.

        Up to the text's last token, or of `most` tokens.
        """
        known, nodes = GrowingTree(self.root), [0]
        end = len(self.token_ids) if most is None else min(len(self.token_ids), self._committed + most)
        for token in self.token_ids[self._committed : end - 1]:
            nodes += known.add(nodes[-1], np.array([token]), np.array([0.0]))
        return self.source.laws(known, nodes)

    def log_probs_ahead(self, tokens: Sequence[int], never_drafted: Collection[int]) -> FloatArray:
        """[tokens] log-probability of each of the text's next tokens, those before it being one draft.

        -inf for a token that cannot be drafted.
        """
        found = np.full(len(tokens), -np.inf)
        for depth, (token, law) in enumerate(zip(tokens, self.laws_ahead(len(tokens)), strict=True)):
            there = np.flatnonzero(law.tokens == token)
            if len(there) and token not in never_drafted:
                found[depth] = law.log_probs[there[0]]
        return found

    def drafted(self, growth: Growth) -> Draft:
        """A growth, begun at `root`, grown to its end."""
        return grown(growth, self.source.laws)


def features_along(target: CausalLM, source: LawSource, token_ids: list[int]) -> torch.Tensor | None:
    """What a source wants of the target along a text: features of all positions but the last, in one reading.

    [tokens - 1, layers * hidden size]; None for a source that asks for no layers.
    """
    layers = source.hidden_layers
    return target.prefill(target.new_cache(), token_ids[:-1], layers) if layers else None


def at_end(target: CausalLM, source: LawSource, token_ids: list[int]) -> AlongText:
    """The source at the end of a text, which the target reads for it."""
    along = AlongText(source, token_ids)
    along.stop(len(token_ids), features_along(target, source, token_ids))
    return along


def stops_with_target(target: CausalLM, along: AlongText, stops: Iterable[int]) -> Iterator[ScoredText]:
    """The target's text at one stop after the other, the source led to the same place.

    stops: ascending numbers of committed tokens. For trees that the target scores where they are drafted.
    """
    scored: ScoredText | None = None
    for committed in stops:
        token_ids = along.token_ids[:committed]
        if scored is None:
            scored = ScoredText(target, token_ids, along.source.hidden_layers)
        else:
            scored.continue_with(token_ids)
        along.stop(committed, scored.features)
        yield scored
