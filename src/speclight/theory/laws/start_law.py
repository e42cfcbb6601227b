"""Where calls start: the law under which E[X] is averaged, and which measured starts it may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.laws.likely_tokens import LikelyTokens, joined
from speclight.theory.laws.sampled_text import SampledText


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class StartLaw:
    """A weight for every position of every text. Numbers under different start laws are never comparable.

    name: shown beside every number, e.g. "uniform positions" or "call starts". weights: one array [tokens]
    per text, >= 0: the (expected) number of calls that start before token i.
    """

    name: str
    weights: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Starts:
    """The starts that one node budget may use, over all texts.

    flat: [tokens] the surprisals of all texts, one behind the other. positions: [starts] where each start's
    next token lies in `flat`. deepest: [starts] largest depth of a node on the sampled path, at most P - 1.
    weights: [starts] > 0. prompts: [starts] number of the prompt, in order of appearance; prompt_count of
    all. features: [starts], NaN where a text has none. node_budget: P. contexts: [starts] contexts on the
    sampled path whose next token may be a node; one more than `deepest` where the sampled one ended the text.
    likely: of every token in `flat`, or None unless all texts have them.
    """

    flat: FloatArray
    positions: IntArray
    deepest: IntArray
    weights: FloatArray
    prompts: IntArray
    prompt_count: int
    features: FloatArray
    node_budget: int
    contexts: IntArray
    likely: LikelyTokens | None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def nodes(self) -> FloatArray:
        """[starts] nodes of depth < P on the sampled path, each step's expectation where laws are known."""
        if self.likely is None:
            return self.deepest.astype(np.float64) + 1.0
        going_on = np.concatenate([[0.0], np.cumsum(1.0 - self.likely.end_probabilities)])
        return 1.0 + going_on[self.positions + self.contexts] - going_on[self.positions]


def uniform_positions(texts: Sequence[SampledText]) -> StartLaw:
    """Every position of every text counts once."""
    return StartLaw("uniform positions", tuple(np.ones(len(text)) for text in texts))


def starts_shared_by_budgets(texts: Sequence[SampledText], largest_budget: int) -> StartLaw:
    """Uniform positions among the starts that the largest node budget can use, for every smaller one too."""
    weights: list[FloatArray] = []
    for text in texts:
        weight = np.zeros(len(text))
        weight[: usable_starts(text, largest_budget)] = 1.0
        weights.append(weight)
    return StartLaw("uniform positions", tuple(weights))


def call_starts(texts: Sequence[SampledText], starts: Sequence[IntArray]) -> StartLaw:
    """The positions at which a decoder's calls began: one array of start indices per text, repeats counted.

    Raises InvalidInput if the lists do not match the texts.
    """
    if len(starts) != len(texts):
        raise InvalidInput(f"expected one array of starts per text ({len(texts)}), got {len(starts)}")
    for text, indices in zip(texts, starts, strict=True):
        if len(indices) and not (0 <= int(indices.min()) and int(indices.max()) < len(text)):
            raise InvalidInput(
                f"call starts must lie in 0..{len(text) - 1} in this text, got "
                f"{indices.min()}..{indices.max()}"
            )
    weights = [
        np.bincount(indices, minlength=len(text)).astype(np.float64)
        for text, indices in zip(texts, starts, strict=True)
    ]
    return StartLaw("call starts", tuple(weights))


def usable_starts(text: SampledText, node_budget: int) -> int:
    """Number of leading positions of a text that may serve as starts at this node budget.

    Depth P - 1 is the deepest that can matter, so a start needs P - 1 further tokens or the end of the text.
    Which starts have them must not depend on how the text went on: in a text made under a length limit M only
    starts up to M - (P - 1) are used, whether the text ended or was cut. Without the second half (starts near
    the limit used if the text ended, dropped if it was cut) short continuations are over-represented and the
    bound comes out too low; that is what happens when an ended text does not say its length_limit.
    """
    limit = text.length_limit if text.ended else len(text)
    if limit is None:
        return len(text)
    return max(0, min(len(text), limit - (node_budget - 1) + 1))


def eligible_starts(
    texts: Sequence[SampledText], node_budget: int, start_law: StartLaw | None = None
) -> Starts:
    """All usable starts of positive weight; start_law None means uniform positions.

    Raises InvalidInput if the law does not fit the texts, or no start is left.
    """
    law = uniform_positions(texts) if start_law is None else start_law
    if [len(text) for text in texts] != [len(weights) for weights in law.weights]:
        raise InvalidInput("the start law was made for other texts: weights and tokens differ in number")
    prompt_numbers = {name: i for i, name in enumerate(dict.fromkeys(text.prompt_id for text in texts))}
    offset = 0
    positions: list[IntArray] = []
    deepest: list[IntArray] = []
    contexts: list[IntArray] = []
    weights: list[FloatArray] = []
    prompts: list[IntArray] = []
    features: list[FloatArray] = []
    for text, text_weights in zip(texts, law.weights, strict=True):
        used = np.flatnonzero(text_weights[: usable_starts(text, node_budget)] > 0)
        positions.append(offset + used)
        deepest.append(np.minimum(node_budget - 1, len(text) - (1 if text.ended else 0) - used))
        contexts.append(np.minimum(node_budget - 1, len(text) - used))
        weights.append(text_weights[used])
        prompts.append(np.full(len(used), prompt_numbers[text.prompt_id]))
        features.append(np.full(len(used), np.nan) if text.features is None else text.features[used])
        offset += len(text)
    if not texts or not sum(len(used) for used in positions):
        raise InvalidInput(
            f"no start has the {node_budget - 1} further tokens that node budget {node_budget} needs; "
            "sample longer texts or lower the budget"
        )
    return Starts(
        flat=np.concatenate([text.surprisals for text in texts]),
        positions=np.concatenate(positions),
        deepest=np.concatenate(deepest),
        weights=np.concatenate(weights),
        prompts=np.concatenate(prompts),
        prompt_count=len(prompt_numbers),
        features=np.concatenate(features),
        node_budget=node_budget,
        contexts=np.concatenate(contexts),
        likely=_likely_of_all(texts),
    )


def _likely_of_all(texts: Sequence[SampledText]) -> LikelyTokens | None:
    known = [text.likely for text in texts if text.likely is not None]
    return joined(known) if len(known) == len(texts) else None
