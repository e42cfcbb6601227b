"""Every bound against the simulated optimum of ten sources, P from 1 to 1024: on its side, and no looser.

What is compared. On the eight i.i.d. sources: every upper and lower bound that moments and the exact step law
give. On the two correlated sources, where those promise nothing: the Markov-modulated bound with the true
types, and the ergodic bound from sampled surprisals alone.

False alarms. Each comparison allows 3 standard errors on one side. Only comparisons whose true gap is small
against the error can fail by chance: the renewal bound on three random i.i.d. sources, and the two bounds on
the two correlated ones. Were all of these 7 x 11 comparisons equalities, the union bound gives 77 x 0.00135 =
0.10 for the whole grid; as budgets share their trees it is less. All other gaps exceed 2 SE, which leaves
below 3e-7 each. The seed is fixed, so a run does not flicker.

Power. `violations` is itself tested: put P, or the optimum of any other source, in place of any bound on any
source, and it must object.
"""

from dataclasses import dataclass
from functools import cache
from math import log

import numpy as np
import pytest

from speclight.theory.ergodic.bound import ergodic_renewal
from speclight.theory.iid.markov_renewal import DEFAULT_WIDTH, MarkovKernel, markov_renewal
from speclight.theory.iid.renewal import renewal
from speclight.theory.iid.upper import trivial
from speclight.theory.known import known_from_law
from speclight.theory.laws.step_law import bin_of, from_laws
from speclight.theory.truth.simulate import simulate_optimum
from speclight.theory.truth.sources import reference_sources, sample_texts

GRID = np.array([1, 2, 3, 4, 8, 16, 31, 64, 128, 256, 512, 1024])
SOURCES = {source.name: source for source in reference_sources()}
IID = tuple(name for name, source in SOURCES.items() if source.is_iid)
CORRELATED = tuple(name for name in SOURCES if name not in IID)

# Simulating optima takes seconds each, of correlated sources ten: most are among the slow tests.
ALWAYS = ("dirichlet-0.3", "zipf-1.2")
SHOWN = [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in SOURCES]

# Chosen so that the relative standard error is at most 0.5% at every budget (checked below).
DEFAULT_TREES = 2500
TREES = {"near-deterministic-0.6": 9500, "sticky-0.95": 37_000, "token-driven-0.9": 31_000}

# Sums of at most 1024 float64 terms; the only slack where the standard error is exactly 0.
ROUNDING_ATOL = 1e-9

UPPER_IID = ("trivial", "theorem_1", "sharpened_theorem_1", "leaf_entropy", "renewal")
LOWER_IID = ("lemma_6", "lemma_6_renewal")
UPPER_CORRELATED = ("trivial", "markov_renewal", "ergodic_renewal")
NAMES = {name: UPPER_IID + LOWER_IID if name in IID else UPPER_CORRELATED for name in SOURCES}


@dataclass(frozen=True)
class Curve:
    """A quantity on GRID with its standard error (0 where it is not estimated)."""

    value: np.ndarray
    error: np.ndarray


@cache
def optimum(name):
    seed = list(SOURCES).index(name)
    trees = TREES.get(name, DEFAULT_TREES)
    result = simulate_optimum(SOURCES[name], int(GRID[-1]), trees, np.random.default_rng([41, seed]))
    return Curve(result.tokens_per_call[GRID - 1], result.standard_error[GRID - 1])


def step_law(source):
    """The exact step law of a source under its start law; its independence is assumed, not checked."""
    types, rows, vocab = source.laws.shape
    return from_laws(source.laws.reshape(types * rows, vocab), np.repeat(source.start / rows, rows))


def markov_kernel(source):
    """The exact kernel of a source: tokens of type i in each bin whose next context has type j."""
    types, rows, vocab = source.laws.shape
    surprisals = -np.log(np.where(source.laws > 0, source.laws, 1.0))
    bins = bin_of(surprisals, DEFAULT_WIDTH)
    kept = (source.laws > 0) & (surprisals < 20.0)  # e^-20: no node of the best 1024
    counts = np.zeros((types, types, int(bins[kept].max()) + 1))
    for kind in range(types):
        for token in range(vocab):
            used = bins[kind, kept[kind, :, token], token]
            histogram = np.bincount(used, minlength=counts.shape[2]) / rows
            counts[kind] += source.next_type[kind, token][:, None] * histogram
    return MarkovKernel(DEFAULT_WIDTH, counts)


@cache
def curves(name):
    """{bound: Curve} of everything that is compared on one source."""
    source = SOURCES[name]
    if name in IID:
        law = step_law(source)
        values = {bound: [] for bound in NAMES[name]}
        for node_budget in GRID.tolist():
            for bound in known_from_law(law).bounds(node_budget):
                if bound.name in values:
                    assert bound.side == ("upper" if bound.name in UPPER_IID else "lower")
                    values[bound.name].append(bound.value)
        return {bound: Curve(np.array(value), np.zeros(len(GRID))) for bound, value in values.items()}
    kernel = markov_kernel(source)
    markov = [markov_renewal(kernel, source.start, node_budget).value for node_budget in GRID.tolist()]
    seed = list(SOURCES).index(name)
    texts = sample_texts(source, np.random.default_rng([42, seed]).random((120, 2000, 3)))
    ergodic = [ergodic_renewal(texts, node_budget) for node_budget in GRID.tolist()]
    return {
        "trivial": Curve(np.array([trivial(p).value for p in GRID.tolist()]), np.zeros(len(GRID))),
        "markov_renewal": Curve(np.array(markov), np.zeros(len(GRID))),
        "ergodic_renewal": Curve(
            np.array([estimate.value for estimate in ergodic]),
            np.array([estimate.standard_error for estimate in ergodic]),
        ),
    }


def violations(name, bound, curve):
    """Reasons, as short words, why this curve cannot be that bound on that source; empty if there is none."""
    truth = optimum(name)
    error = np.hypot(truth.error, curve.error)
    gap = curve.value - truth.value if bound not in LOWER_IID else truth.value - curve.value
    found = [] if (gap >= -3 * error - ROUNDING_ATOL).all() else ["wrong side"]
    checks = {
        "trivial": lambda: np.abs(curve.value - GRID).max() < ROUNDING_ATOL,
        "renewal": lambda: within(curve, truth, error, 16, 0.05) and within(curve, truth, error, 64, 0.03),
        "markov_renewal": lambda: within(curve, truth, error, 1, 0.03),
        "ergodic_renewal": lambda: within(curve, truth, error, 1, 0.06),
    }
    if not checks.get(bound, lambda: has_the_shape(SOURCES[name], bound, curve))():
        found.append("loose")
    return found


def within(curve, truth, error, smallest, share):
    """At most `share` and 3 SE above the truth for every P >= smallest."""
    large = smallest <= GRID
    return (curve.value <= truth.value * (1 + share) + 3 * error)[large].all()


def has_the_shape(source, bound, curve):
    """How the loose bounds must grow with ln P, and where they must lie at P = 1024.

    Slope over P = 256..1024: a = (mu + mu2)/mu^2 for Theorem 1 (2%, sharpened 3%: terms in 1/P), 1/mu for
    leaf entropy (1%) and Lemma 6 (8%). Height at 1024: Theorem 1 lies 1 + mu/2 above its sharpened form
    (within 0.1, again terms in 1/P). With E N = e^t/mu the lower bounds lie 2 nats/mu below the renewal
    bound; 1.37 to 3.6 are allowed for lattice laws and for Zipf, whose E N is still below its limit. The
    least is uniform-2, where E N(k ln 2) = 2^(k+1) - 1 leaves the sum over k < 10 of (2^(k+1) - 1)/1025
    = 1.986 steps of ln 2, 1.377 nats at P = 1024.
    """
    mu, mu2 = source.mu, source.mu2
    a = (mu + mu2) / mu**2
    slope = (curve.value[-1] - curve.value[-3]) / log(4.0)
    expected, tolerance = {
        "theorem_1": (a, 0.02),
        "sharpened_theorem_1": (a, 0.03),
        "leaf_entropy": (1 / mu, 0.01),
        "lemma_6": (1 / mu, 0.08),
        "lemma_6_renewal": (1 / mu, 0.08),
    }[bound]
    if abs(slope - expected) > tolerance * expected:
        return False
    nats_below_renewal = (curves(source.name)["renewal"].value[-1] - curve.value[-1]) * mu
    if bound == "theorem_1":
        return abs(curve.value[-1] - curves(source.name)["sharpened_theorem_1"].value[-1] - 1 - mu / 2) < 0.1
    if bound == "sharpened_theorem_1":
        return abs(curves(source.name)["theorem_1"].value[-1] - curve.value[-1] - 1 - mu / 2) < 0.1
    if bound == "lemma_6_renewal":
        return 1.37 < nats_below_renewal < 3.6
    return bound == "leaf_entropy" or nats_below_renewal > 1.4


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_optimum_is_known_to_half_a_per_cent(name):
    truth = optimum(name)
    assert (truth.error <= 0.005 * truth.value).all()


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        pytest.param(name, bound, marks=() if name in ALWAYS else pytest.mark.slow)
        for name in SOURCES
        for bound in NAMES[name]
    ],
)
def test_bound_holds_and_is_no_looser_than_it_should_be(name, bound):
    assert violations(name, bound, curves(name)[bound]) == []


@pytest.mark.parametrize("name", SHOWN)
def test_replacing_a_bound_by_the_node_budget_is_noticed(name):
    replaced = Curve(GRID.astype(float), np.zeros(len(GRID)))
    for bound in NAMES[name]:
        assert bound == "trivial" or violations(name, bound, replaced), bound


@pytest.mark.parametrize("name", SHOWN)
def test_replacing_a_bound_by_the_optimum_of_another_source_is_noticed(name):
    for other in ALWAYS if name in ALWAYS else IID:
        if other != name:
            for bound in NAMES[name]:
                assert violations(name, bound, optimum(other)), (bound, other)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), [("sticky-0.95", 0.55), ("token-driven-0.9", 0.85)])
def test_iid_renewal_bound_is_broken_by_correlated_contexts(name, share):
    """The step law of these sources, taken as if contexts were independent, gives a value below the optimum:
    at P = 64 about 46% and 78% of it. So no i.i.d. bound may be shown as one for a real model."""
    at_64 = list(GRID).index(64)
    claimed = renewal(step_law(SOURCES[name]), 64).value
    assert claimed < share * optimum(name).value[at_64]


@pytest.mark.slow
def test_jensen_gap_of_the_iid_renewal_bound_is_small():
    """On i.i.d. sources the renewal bound exceeds the optimum by at most 3% at any P on the grid, a part of
    which is its lattice (uniform laws have no Jensen gap at all), and by at most 1.5% at P = 4."""
    for name in IID:
        ratio = curves(name)["renewal"].value / optimum(name).value
        error = 3 * optimum(name).error / optimum(name).value
        assert (ratio <= 1.03 + error).all()
        assert ratio[3] <= 1.015 + error[3]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in IID if name.startswith(("dirichlet", "zipf"))])
def test_the_ergodic_bound_agrees_at_budgets_beyond_the_pictures(name):
    """P = 256 and 1024 from sampled surprisals alone: within 4 standard errors and the 3% of Jensen's gap.

    8 comparisons on two sides: false alarm below 16 x 3.2e-5 = 0.05%. Standard errors are below 1%, so an
    error of 8% would be seen."""
    texts = sample_texts(SOURCES[name], np.random.default_rng([43, len(name)]).random((60, 3000, 3)))
    truth = optimum(name)
    for budget in (256, 1024):
        place = GRID.tolist().index(budget)
        bound = ergodic_renewal(texts, budget)
        error = np.hypot(bound.standard_error, truth.error[place])
        assert error < 0.01 * truth.value[place]
        assert -4 * error < bound.value - truth.value[place] < 0.03 * truth.value[place] + 4 * error
