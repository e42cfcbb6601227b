"""The cheapest way to cut sampled texts into calls, by a compiled dynamic program from the last token back.

A call that emits the k tokens from position i on stands in a tree that holds the first k nodes of that path
(root first, depths 0 to k - 1). It is charged alpha_i + beta_i Y, Y = sum_{j<k} e^(S_j), S_j the surprisal of
its first j tokens: the tree's size, counted along the text (`decode` says why). Nodes of each depth may weigh
differently, as in a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.compiled import compiled
from speclight.theory.laws.sampled_text import SampledText


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TextArrays:
    """Texts one behind the other. growth: [tokens] e^surprisal. begins: [texts + 1] where each text begins.

    places: [tokens] index of each token in its text. cut: [texts] whether a length limit cut it. prompts:
    [texts] number of its prompt, in order of appearance; prompt_count of them.
    """

    growth: FloatArray
    begins: IntArray
    places: IntArray
    cut: BoolArray
    prompts: IntArray
    prompt_count: int

    @property
    def tokens(self) -> FloatArray:
        """[texts] tokens of each text, the end-of-text token included."""
        return np.diff(self.begins).astype(np.float64)

    def by_prompt(self, values: FloatArray) -> FloatArray:
        """[prompts] sums of values [texts]."""
        return np.bincount(self.prompts, values, minlength=self.prompt_count).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Segmentation:
    """Of each text, [texts]: cost of the cheapest cut into calls, its number of calls, its sum of Y.

    ends: [tokens] the place in its text where the cheapest call that begins at the token ends.
    """

    cost: FloatArray
    calls: FloatArray
    sizes: FloatArray
    ends: IntArray


def text_arrays(texts: Sequence[SampledText]) -> TextArrays:
    """Empty texts have no calls and are left out. Raises InvalidInput if no text has a token."""
    kept = [text for text in texts if len(text)]
    if not kept:
        raise InvalidInput("a decode has calls only where there are tokens, got no text with any")
    numbers = {name: i for i, name in enumerate(dict.fromkeys(text.prompt_id for text in kept))}
    lengths = np.array([len(text) for text in kept], dtype=np.int64)
    with np.errstate(over="ignore"):  # beyond e^709 a node weighs infinitely much, and no call holds it
        growth = np.exp(np.concatenate([text.surprisals for text in kept]))
    return TextArrays(
        growth,
        np.append(0, np.cumsum(lengths)),
        np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths),
        np.array([not text.ended for text in kept]),
        np.array([numbers[text.prompt_id] for text in kept]),
        len(numbers),
    )


def cheapest_segments(
    texts: TextArrays,
    alpha: float | FloatArray,
    beta: float | FloatArray,
    longest: int,
    by_depth: FloatArray | None = None,
) -> Segmentation:
    """The cheapest cut into calls of at most `longest` tokens each.

    alpha, beta: charge of a call that begins at a token, and of each unit of its Y; one number, or [tokens].
    by_depth: [longest] what a node of each depth weighs in Y; 1 if not given. The last call of a text is
    charged its visible part. Raises InvalidInput unless alpha >= 0 and beta > 0.
    """
    shape = texts.growth.shape
    by_call = np.ascontiguousarray(np.broadcast_to(np.asarray(alpha, dtype=np.float64), shape))
    by_size = np.ascontiguousarray(np.broadcast_to(np.asarray(beta, dtype=np.float64), shape))
    if longest < 1 or not ((by_call >= 0.0) & (by_size > 0.0)).all():
        raise InvalidInput(
            f"calls need a longest length >= 1, alpha >= 0 and beta > 0, got {longest}, a smallest alpha of "
            f"{by_call.min()} and a smallest beta of {by_size.min()}"
        )
    count = len(texts.begins) - 1
    found = Segmentation(
        np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(len(texts.growth), dtype=np.int64)
    )
    deepest = min(longest, int(texts.tokens.max()))
    weights = np.ones(deepest) if by_depth is None else by_depth
    compiled(_cut_texts)(
        *(texts.growth, texts.begins, by_call, by_size, weights),
        *(found.cost, found.calls, found.sizes, found.ends),
    )
    return found


def _cut_texts(
    growth: FloatArray,
    begins: IntArray,
    alpha: FloatArray,
    beta: FloatArray,
    by_depth: FloatArray,
    cost: FloatArray,
    calls: FloatArray,
    sizes: FloatArray,
    ends: IntArray,
) -> None:
    """Fill cost, calls and sizes [texts], ends [tokens]. Of equally cheap calls the shorter is taken."""
    most = 0
    for text in range(len(begins) - 1):
        most = max(most, begins[text + 1] - begins[text])
    ahead, calls_ahead, sizes_ahead = np.zeros(most + 1), np.zeros(most + 1), np.zeros(most + 1)
    for text in range(len(begins) - 1):
        first, length = begins[text], begins[text + 1] - begins[text]
        ahead[length], calls_ahead[length], sizes_ahead[length] = 0.0, 0.0, 0.0
        for place in range(length - 1, -1, -1):
            start = first + place
            best, best_end, best_size = np.inf, 0, 0.0
            size, weight = 0.0, 1.0
            for end in range(place + 1, min(place + len(by_depth), length) + 1):
                size += by_depth[end - place - 1] * weight
                charge = alpha[start] + beta[start] * size
                # What lies ahead costs >= 0, and a longer call only costs more: none of them can win.
                if charge >= best:
                    break
                if charge + ahead[end] < best:
                    best, best_end, best_size = charge + ahead[end], end, size
                weight *= growth[first + end - 1]
            ahead[place], ends[start] = best, best_end
            calls_ahead[place] = 1.0 + calls_ahead[best_end]
            sizes_ahead[place] = best_size + sizes_ahead[best_end]
        cost[text], calls[text], sizes[text] = ahead[0], calls_ahead[0], sizes_ahead[0]
