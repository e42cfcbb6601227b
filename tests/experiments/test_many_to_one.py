"""The many-to-one identity context by context, and both estimators of the step law, on real targets."""

from dataclasses import replace

import numpy as np
import pytest

from cases import thinned
from speclight.experiments.many_to_one import node_counts
from speclight.models.batch_sampling import sample_continuations
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.bound import ergodic_node_count, ergodic_renewal
from speclight.theory.ergodic.strata import Strata
from speclight.theory.iid.text_kernel import kernel_of_texts
from speclight.theory.laws.likely_tokens import LikelyTokens, likely_tokens
from speclight.theory.laws.sampled_text import SampledText
from toys import tiny_target

STARTS = (
    "The capital of France is",
    "def add(a, b):\n    return",
    "One, two, three, four,",
    "She opened the door and",
    "The sum of 12 and 30 is",
    "Dear Sir or Madam,",
)


@pytest.mark.parametrize("end_of_text", thinned([frozenset({5}), frozenset()]))
def test_node_counts_of_a_toy_agree_at_every_context(end_of_text):
    """3 contexts x 3 levels, 600 continuations. False alarm: |z| > 4.5, 7e-6 each, 6e-5 in all (seed fixed).
    Power: weighing the sampled nodes by 1 instead of e^V moves every count by more than half."""
    target = tiny_target(vocabulary_size=6, seed=5, end_of_text=end_of_text, layers=1)
    rng = np.random.default_rng(3)
    for context in ([0, 1], [2, 2, 5], [1, 4, 0, 1]):
        counts = node_counts(target, context, 40, (3, 12, 39), rng.random((600, 39)), SamplingSettings())
        np.testing.assert_array_equal(counts.exact, [3, 12, 39])
        assert np.abs(counts.z_scores).max() < 4.5
        assert (counts.standard_error < 0.2 * counts.exact).all()


@pytest.mark.slow
@pytest.mark.model
def test_node_counts_of_the_default_target_agree_at_every_context(default_target):
    """3 contexts x 3 levels, 150 continuations each. False alarm: |z| > 4.5 with 150 draws of bounded weight,
    below 1e-3 in all (seed fixed)."""
    target = default_target
    rng = np.random.default_rng(4)
    for start in STARTS[:3]:
        ids = target.tokenizer(start)["input_ids"]
        counts = node_counts(target, ids, 24, (3, 10, 23), rng.random((150, 23)), SamplingSettings(0.7))
        assert np.abs(counts.z_scores).max() < 4.5, start


@pytest.mark.slow
@pytest.mark.model
def test_full_laws_and_sampled_surprisals_of_the_default_target_agree(default_target):
    """mu, mu2 and the counts of tokens within 1, 2 and 3 nats, from full rows and from the sampled token.

    Their differences have mean 0 given the context, so texts' sums of them are compared with their spread:
    |z| > 4.5 in 5 comparisons over 24 texts, false alarm below 1e-3 (seed fixed). Power: without the weight
    e^x the counts would be off by 20 standard errors and more.
    """
    target = default_target
    ids = [target.tokenizer(start)["input_ids"] for start in STARTS for _ in range(4)]
    gaps = np.zeros((len(ids), 5))
    full_counts = np.zeros(3)

    def observe(rows, laws, tokens):
        with np.errstate(divide="ignore"):
            x = -np.log(laws)
        own = x[np.arange(len(rows)), tokens]
        finite = np.where(laws > 0, x, 0.0)
        gaps[rows, 0] += own - (laws * finite).sum(axis=1)
        gaps[rows, 1] += own**2 - (laws * finite**2).sum(axis=1)
        for column, level in enumerate((1.0, 2.0, 3.0), start=2):
            within = (x <= level).sum(axis=1)
            full_counts[column - 2] += within.sum()
            gaps[rows, column] += np.exp(own) * (own <= level) - within

    sample_continuations(target, ids, 12, SamplingSettings(), list(range(len(ids))), observe)
    z = gaps.sum(axis=0) / np.sqrt((gaps**2).sum(axis=0))
    assert np.abs(z).max() < 4.5
    assert (np.sqrt((gaps[:, 2:] ** 2).sum(axis=0)) < 0.2 * full_counts).all()


@pytest.mark.slow
@pytest.mark.model
def test_ergodic_estimates_and_kernel_of_the_default_target_agree_with_and_without_laws(default_target):
    """24 texts of 12 tokens, each its own prompt. Bound at P = 6, E N_6 at 1 and 2 nats, counts
    of tokens within 3 nats per pair of types (entropy below or above 1 nat): from full laws and sampled
    tokens, within 4 joint standard errors, which pairing makes smaller: false alarm below 7 x 6e-5 = 5e-4
    (the kernel's standard errors by leaving out a text at a time). Power: without the share p_u, or without
    e^x, every one of them is off by a factor above 2."""
    target = default_target
    ids = [target.tokenizer(start)["input_ids"] for start in STARTS for _ in range(4)]
    sampled, entropies, kept = ([[] for _ in ids] for _ in range(3))
    ends = tuple(target.end_of_text)

    def observe(rows, laws, tokens):
        for row, law, token in zip(rows.tolist(), laws, tokens.tolist(), strict=True):
            sampled[row].append(-np.log(law[token]))
            entropies[row].append(-(law * np.log(np.maximum(law, np.finfo(float).tiny))).sum())
            kept[row].append(likely_tokens(law[None], ends))

    found = sample_continuations(target, ids, 12, SamplingSettings(), list(range(len(ids))), observe)
    full = [
        SampledText(np.array(x), text.ended, str(i), np.array(h), 12, one_behind_the_other(laws))
        for i, (x, h, laws, text) in enumerate(zip(sampled, entropies, kept, found, strict=True))
    ]
    bare = [replace(text, likely=None) for text in full]
    bounds = [ergodic_renewal(texts, 6) for texts in (full, bare)]
    pairs = [[(bound.value, bound.standard_error)] for bound in bounds]
    for pair, texts in zip(pairs, (full, bare), strict=True):
        curve = ergodic_node_count(texts, 6, np.array([1.0, 2.0]))
        pair += zip(curve.mean, curve.standard_error, strict=True)
        pair += kernel_counts(texts)
    for (value, error), (other, other_error) in zip(*pairs, strict=True):
        assert abs(value - other) <= 4 * np.hypot(error, other_error)
    assert bounds[0].from_laws
    assert bounds[0].standard_error < 1.05 * bounds[1].standard_error


def one_behind_the_other(laws):
    """The likely tokens of one text from those of its contexts."""
    return LikelyTokens(
        laws[0].reach,
        np.concatenate([law.surprisals for law in laws]),
        np.concatenate([law.kept for law in laws]),
        np.concatenate([law.end_probabilities for law in laws]),
    )


def kernel_counts(texts):
    """Tokens within 3 nats from each type to each, with jackknife standard errors."""
    strata = Strata(np.array([1.0]))

    def counts(some):
        kernel = kernel_of_texts(some, strata)
        return kernel.counts[:, :, : int(3.0 / kernel.width)].sum(axis=2).ravel()

    left_out = np.array([counts(texts[:i] + texts[i + 1 :]) for i in range(len(texts))])
    spread = (len(texts) - 1) * left_out.var(axis=0)
    return list(zip(counts(texts), np.sqrt(spread), strict=True))
