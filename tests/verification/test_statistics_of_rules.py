"""Whole texts over at least three rounds with real uniforms: chi-square against the exact law.

A call on these trees emits at most depth + 1 tokens, and texts have 2 (depth + 1) + 1 of them, so every text
takes three calls or more. Cells expected fewer than 10 times are pooled.

False alarm: 1e-4 for each of the 5 sound rules, 5e-4 together, once for the fixed seeds. Power at 3000 texts:
0.99 where sum (law - exact)^2 / exact is at least 0.04 on texts of 5 tokens (102 cells, threshold 163,
noncentrality 118) or 0.052 on texts of 7 (201 cells, 283, 154): if every text is 20% to 23% too likely or
too unlikely. Faults are looked for in 1500 texts (71 cells, 0.07); measured, theirs are 0.07 to 0.26.
"""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from broken_verification import FreshSampleOnMismatch, with_raw_laws, without_the_less_likely_sibling
from speclight.trees.shapes import by_level
from speclight.verification.noise import UniformNoise, noise_shape, uniform_noise
from speclight.verification.rules import RULES
from tabular import TabularPair, all_texts, draft, target_laws

# The laws are enumerated exactly in test_losslessness_of_rules.py; here seconds of sampling each.
pytestmark = pytest.mark.slow
PAIR = TabularPair(7, ("unrelated",))
ONE, BATCH, CHAIN, FORK = by_level([1]), by_level([2]), by_level([1, 1]), by_level([2, 1])
TEXTS, FAULTY_TEXTS = 3000, 1500
FALSE_ALARM = 1e-4


class Uniforms:
    """Draft noise; remembers its uniforms."""

    def __init__(self, rng):
        self.rng, self.used = rng, []

    def sample(self, law):
        self.used.append(self.rng.random())
        return UniformNoise(np.zeros(1), np.array(self.used[-1:])).sample(0, law)


def independent_noise(tree, draft_uniforms, rng):
    return uniform_noise(rng, noise_shape(tree))


def noise_of_the_draft(tree, draft_uniforms, rng):
    """Broken: the residual at the root is drawn with the uniform that drew the first draft."""
    noise = uniform_noise(rng, noise_shape(tree))
    return UniformNoise(noise.coins, np.concatenate([draft_uniforms[:1], noise.draws[1:]]))


def sampled_texts(rule, shape, kind, total, altered=lambda tree: tree, noise=independent_noise):
    draft_rng, rng = (
        np.random.Generator(np.random.Philox(seed)) for seed in np.random.SeedSequence(11).spawn(2)
    )
    length = 2 * (1 + int(shape.parents.max() > 0) + 1) + 1
    counts, calls = Counter(), 0
    for _ in range(total):
        text = ()
        while len(text) < length:
            uniforms = Uniforms(draft_rng)
            tree = altered(draft(PAIR, text, shape, kind, uniforms))
            verdict = rule.verify(tree, target_laws(PAIR, text, tree), noise(tree, uniforms.used, rng))
            text = (*text, *verdict.tokens(tree))
            calls += 1
        counts[text[:length]] += 1
    assert calls >= 3 * total
    return counts, length


def p_value(counts, length):
    total = sum(counts.values())
    exact = PAIR.text_law((), length)
    observed, expected, pooled = [], [], np.zeros(2)
    for text in sorted(all_texts(length), key=lambda text: exact[text]):
        pooled += (counts[text], exact[text] * total)
        if pooled[1] >= 10.0:
            observed.append(pooled[0])
            expected.append(pooled[1])
            pooled = np.zeros(2)
    observed[-1] += pooled[0]
    expected[-1] += pooled[1]
    return stats.chisquare(observed, expected).pvalue


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("rejection_without_replacement", "without_replacement", BATCH),
        ("rejection", "with_replacement", BATCH),
        ("k_seq", "with_replacement", BATCH),
        ("traversal", "without_replacement", FORK),
        ("block", "with_replacement", CHAIN),
    ],
)
def test_texts_follow_the_targets_law(name, kind, shape):
    assert p_value(*sampled_texts(RULES[name], shape, kind, TEXTS)) > FALSE_ALARM


@pytest.mark.parametrize(
    ("rule", "shape", "altered", "noise"),
    [
        pytest.param(
            RULES["rejection"], ONE, lambda tree: tree, noise_of_the_draft, id="residual from draft noise"
        ),
        *(
            pytest.param(rule, BATCH, altered, independent_noise, id=name)
            for name, rule, altered in (
                ("fresh sample on mismatch", FreshSampleOnMismatch(), lambda tree: tree),
                ("raw drafter law", RULES["rejection"], with_raw_laws),
                ("sibling dropped for its value", RULES["rejection"], without_the_less_likely_sibling),
            )
        ),
    ],
)
def test_faults_are_noticed(rule, shape, altered, noise):
    assert (
        p_value(*sampled_texts(rule, shape, "with_replacement", FAULTY_TEXTS, altered, noise)) < FALSE_ALARM
    )
