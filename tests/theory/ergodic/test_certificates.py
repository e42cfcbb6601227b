"""Certificates from below and the simple bounds from above, against optimal decodes over all trees.

Statistical assertions allow 4 standard errors (one-sided, 3e-5 each): with the 30 of this file a false alarm
anywhere has a chance below 1e-3. Seeds are fixed.
"""

import numpy as np
import pytest

from cases import thinned
from speclight.errors import InvalidInput
from speclight.theory.ergodic.certificates import certified_decode
from speclight.theory.ergodic.entropy_rate import decode_leaf_entropy, entropy_rate_bound
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.log_prob_limits import limits_from_log_probs
from speclight.theory.truth.optimal_decode import fewest_calls
from speclight.theory.truth.sources import sample_texts, tabular_source

TOKENS = 100


@pytest.mark.parametrize("budget", thinned([4, 2, 3, 8], 2))
@pytest.mark.parametrize("seed", thinned([7, 8, 9]))
def test_the_optimum_lies_in_the_interval(seed, budget):
    """Certified below, entropy rate and leaf entropy above the best decode under the texts' own limit."""
    source = tabular_source(4, 3, np.random.default_rng(seed))
    texts = sample_texts(source, np.random.default_rng(seed + 50).random((200, TOKENS, 3)))
    best = fewest_calls(source, budget, TOKENS)
    optimum = best.tokens / best.calls
    below = certified_decode(texts, budget)
    assert below.value < optimum + 4 * below.standard_error
    assert below.value > 0.65 * optimum
    assert below.lower < below.value
    for above in (entropy_rate_bound(texts, budget), decode_leaf_entropy(texts, budget, 3)):
        assert optimum < above.value + 4 * above.standard_error
        assert above.value <= budget
    limits = limits_from_log_probs([-text.surprisals for text in texts], budget, ended=False)
    assert limits.certified.value == below.value
    assert limits.certified.value < optimum < limits.decode.going_on.upper


def test_certified_trees_fit_the_budget():
    """In every state of a source, {depth <= D, P(v) > 1/(m + 1)} holds at most P nodes, by listing them."""
    source = tabular_source(4, 3, np.random.default_rng(7))
    laws, following = source.laws[:, 0], source.next_type.argmax(axis=-1)
    for budget in (2, 5, 17, 40):
        for depth in range(1, budget):
            limit = np.log((budget - 1) // depth + 1.0) - 1e-9
            for state in range(4):
                level, nodes = [(state, 0.0)], 1
                for _ in range(depth):
                    children = [
                        (following[at, token], position - np.log(laws[at, token]))
                        for at, position in level
                        for token in np.flatnonzero(laws[at])
                    ]
                    level = [child for child in children if child[1] <= limit]
                    nodes += len(level)
                assert nodes <= budget


def test_a_drafter_along_the_text():
    """With q = p it is the target's own certificate; a drafter of flat laws gets less, one that misses every
    token gets one token a call."""
    source = tabular_source(4, 3, np.random.default_rng(7))
    texts = sample_texts(source, np.random.default_rng(57).random((100, TOKENS, 3)))
    own = certified_decode(texts, 8)
    assert certified_decode(texts, 8, drafter=[text.surprisals for text in texts]) == own
    flat = certified_decode(texts, 8, drafter=[np.full(len(text), np.log(3.0)) for text in texts])
    assert 1.0 < flat.value < own.value
    missing = certified_decode(texts, 8, drafter=[np.full(len(text), np.inf) for text in texts])
    assert missing.value == 1.0
    with pytest.raises(InvalidInput, match="each token"):
        certified_decode(texts, 8, drafter=[])


def test_certain_text_and_plain_lists():
    certain = [SampledText(np.zeros(40), True, str(i)) for i in range(3)]
    assert certified_decode(certain, 5).value == pytest.approx(5.0)
    assert entropy_rate_bound(certain, 5).value == pytest.approx(5.0)
    limits = limits_from_log_probs([[-0.1, -2.0, -0.3], [-0.2]], 2, ended=[True, False], vocabulary_size=10)
    assert limits.certified.value <= limits.decode.held.value <= 2.0
    assert limits.leaf_entropy is not None
    short = limits_from_log_probs([[-0.1, -2.0, -0.3], [-0.2]], 8, ended=False)
    assert short.walk is None
    assert short.uniform_starts is None
    with pytest.raises(InvalidInput, match="<= 0"):
        limits_from_log_probs([[0.5]], 2, ended=True)
    with pytest.raises(InvalidInput, match="ended or cut"):
        limits_from_log_probs([[-0.5]], 2, ended=[True, True])
