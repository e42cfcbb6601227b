"""The cheapest cut into calls, against every cut of short texts written out."""

from itertools import product

import numpy as np
import pytest

from cases import thinned
from speclight.errors import InvalidInput
from speclight.theory.ergodic.segments import cheapest_segments, text_arrays
from speclight.theory.laws.sampled_text import SampledText

# Sums of a few dozen terms of order one.
ROUNDING_RTOL = 1e-12


def every_cut(surprisals, alpha, beta, longest):
    """(cost, calls, sum of Y) of each cut of a text, by listing where calls end."""
    length = len(surprisals)
    for inner in product((False, True), repeat=length - 1):
        ends = [i + 1 for i in range(length - 1) if inner[i]] + [length]
        begins = [0, *ends[:-1]]
        if max(e - b for b, e in zip(begins, ends, strict=True)) > longest:
            continue
        sizes = [
            sum(np.exp(surprisals[b : b + j].sum()) for j in range(e - b))
            for b, e in zip(begins, ends, strict=True)
        ]
        cost = sum(alpha[b] + beta[b] * y for b, y in zip(begins, sizes, strict=True))
        yield cost, len(ends), sum(sizes)


@pytest.mark.parametrize("seed", thinned(range(6), 2))
def test_no_cut_is_cheaper_and_one_is_as_cheap(seed):
    rng = np.random.default_rng(seed)
    texts = [SampledText(rng.exponential(0.7, size=n), bool(n % 2), str(n)) for n in (1, 5, 10)]
    longest = int(rng.integers(1, 6))
    tokens = sum(len(text) for text in texts)
    alpha, beta = rng.random(tokens) * (seed > 0), 0.02 + 0.3 * rng.random(tokens)
    found = cheapest_segments(text_arrays(texts), alpha, beta, longest)
    first = 0
    for i, text in enumerate(texts):
        part = slice(first, first + len(text))
        cost, calls, sizes = min(every_cut(text.surprisals, alpha[part], beta[part], longest))
        assert found.cost[i] == pytest.approx(cost, rel=ROUNDING_RTOL)
        assert found.calls[i] == calls
        assert found.sizes[i] == pytest.approx(sizes, rel=ROUNDING_RTOL)
        first += len(text)


def test_impossible_surprisals_do_not_spoil_the_rest():
    """A token of 800 nats weighs infinitely much: no call goes on behind it, and nothing becomes NaN."""
    texts = [SampledText(np.array([0.0, 800.0, 0.0, 0.0]), False, "0")]
    found = cheapest_segments(text_arrays(texts), 1.0, 0.1, 4)
    assert found.calls.tolist() == [2.0]
    assert found.cost == pytest.approx([2.0 + 0.1 * (2 + 2)], rel=ROUNDING_RTOL)


def test_empty_texts_are_left_out_and_bad_charges_refused():
    empty, some = SampledText(np.zeros(0), True, "a"), SampledText(np.ones(3), True, "b")
    assert text_arrays([empty, some]).prompt_count == 1
    with pytest.raises(InvalidInput, match="no text"):
        text_arrays([empty])
    with pytest.raises(InvalidInput, match="beta > 0"):
        cheapest_segments(text_arrays([some]), 1.0, 0.0, 4)
    with pytest.raises(InvalidInput, match="alpha >= 0"):
        cheapest_segments(text_arrays([some]), -0.1, 1.0, 4)
