"""The coupling bound against sums over all paths and against rules whose expected tokens are known.

Statistical assertions allow 4 standard errors (6e-5 each, two-sided; five of them). Seeds are fixed.
"""

from itertools import product

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.coins.coupling import (
    chain_paths,
    coupling_bound,
    independent_chains,
    parallel_head_paths,
)
from speclight.theory.laws.sampled_text import SampledText

TARGET, DRAFTER = np.array([0.6, 0.3, 0.1]), np.array([0.3, 0.3, 0.4])
DEPTH = 3


def texts_and_drafts(count=400, tokens=60):
    """Texts of one law at every context, and the drafter's log-probabilities of their tokens."""
    drawn = np.random.default_rng(1).choice(3, size=(count, tokens), p=TARGET)
    texts = [SampledText(-np.log(TARGET[row]), False, str(i)) for i, row in enumerate(drawn)]
    return texts, [np.log(DRAFTER[row]) for row in drawn]


def exact(drafted_probability):
    """1 + sum over paths of min(P, Pr[drafted]), the paths listed."""
    total = 1.0
    for depth in range(1, DEPTH + 1):
        for path in product(range(3), repeat=depth):
            total += min(TARGET[list(path)].prod(), drafted_probability(DRAFTER[list(path)].prod()))
    return total


@pytest.mark.parametrize("chains", [1, 2, 5])
def test_it_is_the_sum_over_all_paths(chains):
    texts, log_probs = texts_and_drafts()
    paths = [independent_chains(chain_paths(row, DEPTH), chains) for row in log_probs]
    bound = coupling_bound(texts, paths)
    truth = exact(lambda q: 1.0 - (1.0 - q) ** chains)
    assert bound.standard_error < 0.01
    assert abs(bound.value - truth) < 4 * bound.standard_error


def test_token_wise_rejection_stays_below_and_one_token_attains_it():
    """Rejection of a chain keeps i drafts with probability (sum min(p, q))^i: equal at K = 1, less beyond."""
    texts, log_probs = texts_and_drafts()
    accepted = np.minimum(TARGET, DRAFTER).sum()
    one = coupling_bound(texts, [chain_paths(row, 1) for row in log_probs])
    assert abs(one.value - (1.0 + accepted)) < 4 * one.standard_error
    chain = coupling_bound(texts, [chain_paths(row, DEPTH) for row in log_probs])
    token_wise = sum(accepted**i for i in range(DEPTH + 1))
    assert chain.value > token_wise + 4 * chain.standard_error
    assert np.all(np.diff(chain.by_depth) < 0)


def test_heads_are_the_chain_of_a_drafter_that_looks_at_nothing():
    """Where the drafter's law does not depend on the text, parallel heads and the chain are one drafter."""
    texts, log_probs = texts_and_drafts(20)
    heads = [
        parallel_head_paths(np.stack([np.append(row[i:], np.zeros(i)) for i in range(DEPTH)], axis=1))
        for row in log_probs
    ]
    assert coupling_bound(texts, heads) == coupling_bound(texts, [chain_paths(r, DEPTH) for r in log_probs])


def test_ends_are_no_nodes_and_shapes_are_checked():
    """A perfect drafter of a text of three tokens and an end: 4, 3, 2 and 1 tokens from its four starts."""
    text = SampledText(np.full(4, 0.5), True, "0")
    bound = coupling_bound([text], [chain_paths(-text.surprisals, 3)])
    assert bound.value == pytest.approx((4 + 3 + 2 + 1) / 4)
    with pytest.raises(InvalidInput, match="drafted paths"):
        coupling_bound([text], [])
    with pytest.raises(InvalidInput, match="K >= 1"):
        coupling_bound([text], [np.zeros((3, 2))])
