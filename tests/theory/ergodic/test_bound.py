"""The ergodic renewal bound: exact by enumeration, above the simulated optimum, blind to censoring."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import thinned
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption
from speclight.theory.ergodic.bootstrap import resample_prompts
from speclight.theory.ergodic.bound import (
    choose_thresholds,
    ergodic_bound,
    ergodic_node_count,
    ergodic_renewal,
    ergodic_renewal_at,
)
from speclight.theory.ergodic.strata import Strata, Thresholds, quantile_strata
from speclight.theory.iid.renewal import node_count
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, call_starts
from speclight.theory.laws.step_law import from_laws
from speclight.theory.truth.ergodic_integral import ergodic_renewal_integral
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.simulate import simulate_optimum
from speclight.theory.truth.sources import TokenSource, reference_sources, sample_texts, tabular_source

# Sums of up to a few thousand terms of order one, in different orders.
ROUNDING_ATOL = 1e-9

REFERENCE = {source.name: source for source in reference_sources()}
IID = [source.name for source in reference_sources() if source.is_iid]
CORRELATED = [source.name for source in reference_sources() if not source.is_iid]


@st.composite
def text_lists(draw):
    """One to five texts of lattice or continuous surprisals, some ended, features attached."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lattice = draw(st.booleans())
    texts = []
    for index in range(draw(st.integers(1, 5))):
        size = draw(st.integers(12, 40))
        surprisals = rng.integers(0, 4, size) * np.log(2.0) if lattice else rng.exponential(1.0, size)
        texts.append(SampledText(surprisals, bool(rng.random() < 0.5), str(index % 3), rng.random(size)))
    return texts


def every_text(source, state, length):
    """Every continuation of a state up to `length` tokens with its probability: [(text, weight)]."""
    found, unfinished = [], [([], state, 1.0)]
    while unfinished:
        surprisals, at, prob = unfinished.pop()
        ended = len(surprisals) > 0 and at is None
        if ended or len(surprisals) == length:
            found.append((SampledText(np.array(surprisals), ended, f"from {state}"), prob))
            continue
        for token, chance in enumerate(source.laws[at, 0]):
            if chance > 0:
                over = token == source.end_of_text
                following = None if over else int(source.next_type[at, token].argmax())
                unfinished.append(([*surprisals, -np.log(chance)], following, prob * chance))
    return found


def first_positions(found):
    """The start law that holds position 0 of each text with the text's probability."""
    weights = tuple(np.eye(1, len(text))[0] * weight for text, weight in found)
    return StartLaw("first positions", weights)


@given(text_lists(), st.integers(1, 12))
def test_smallest_dual_form_equals_the_integral(texts, node_budget):
    estimate = ergodic_renewal(texts, node_budget)
    integral = ergodic_renewal_integral(texts, node_budget)
    assert estimate.value == pytest.approx(integral, abs=ROUNDING_ATOL)
    assert 1.0 - ROUNDING_ATOL <= estimate.value <= node_budget + ROUNDING_ATOL


@settings(max_examples=40, deadline=None)
@given(text_lists(), st.integers(1, 12), st.floats(0.0, 8.0))
def test_any_threshold_gives_more_than_the_best_one_and_strata_give_less(texts, node_budget, threshold):
    strata = Strata(np.array([0.3, 0.7]))
    plain, split = ergodic_renewal(texts, node_budget), ergodic_renewal(texts, node_budget, strata)
    assert split.value <= plain.value + ROUNDING_ATOL
    fixed = Thresholds(node_budget, strata, np.array([threshold, 1.0, np.inf]), np.ones(3))
    assert ergodic_renewal_at(texts, fixed).value >= split.value - ROUNDING_ATOL
    best = ergodic_renewal_at(texts, choose_thresholds(texts, node_budget, strata))
    assert best.value == pytest.approx(split.value, abs=ROUNDING_ATOL)


@pytest.mark.parametrize("end_of_text", [None, 2])
@pytest.mark.parametrize("node_budget", [1, 2, 5, 8])
def test_one_context_many_to_one_is_the_exact_optimum(end_of_text, node_budget):
    """All continuations of one context, weighted by their probability: no sampling and no independence left.

    Then E N_P is N_P itself, Jensen's inequality is an equality, and the bound with its depth cap must equal
    the sum over the P likeliest nodes of the uncapped tree. The next law depends on the token before."""
    source = tabular_source(3, 3, np.random.default_rng(8), end_of_text)
    for state in range(3):
        found = every_text(source, state, max(1, node_budget - 1))
        texts = [text for text, _ in found]
        estimate = ergodic_renewal(texts, node_budget, start_law=first_positions(found))
        exact = best_tree(source, state, node_budget).tokens_per_call[-1]
        assert estimate.value == pytest.approx(exact, abs=ROUNDING_ATOL)


@pytest.mark.parametrize("end_of_text", [None, 2])
def test_many_to_one_counts_the_nodes_of_every_context(end_of_text):
    """E[sum e^S_d 1{S_d <= t}] against nodes counted one by one, depth < 7, at levels between atoms."""
    source = tabular_source(3, 3, np.random.default_rng(8), end_of_text)
    levels = np.array([0.0, 0.37, 1.11, 2.03, 3.3, 5.2, 9.1])
    for state in range(3):
        found = every_text(source, state, 6)
        curve = ergodic_node_count([text for text, _ in found], 7, levels, first_positions(found))
        counts = np.zeros(len(levels))
        nodes = [(state, 0.0)]
        for _ in range(7):
            counts += [(np.array([v for _, v in nodes]) <= level).sum() for level in levels]
            nodes = [
                (int(source.next_type[at, token].argmax()), v - np.log(chance))
                for at, v in nodes
                for token, chance in enumerate(source.laws[at, 0])
                if token != end_of_text and chance > 0
            ]
        np.testing.assert_allclose(curve.mean, counts, rtol=0, atol=1e-8)


def test_bound_over_several_contexts_dominates_their_mean_and_strata_close_the_gap():
    """Exact enumeration again: Jensen's gap is real over mixed contexts, and zero with one stratum each."""
    source = tabular_source(3, 3, np.random.default_rng(8))
    found = [(text, w / 3, state) for state in range(3) for text, w in every_text(source, state, 7)]
    texts = [
        SampledText(text.surprisals, text.ended, text.prompt_id, np.full(len(text), float(state)))
        for text, _, state in found
    ]
    law = first_positions([(text, weight) for text, weight, _ in found])
    exact = np.mean([best_tree(source, state, 8).tokens_per_call[-1] for state in range(3)])
    split = ergodic_renewal(texts, 8, Strata(np.array([0.5, 1.5])), law)
    assert split.value == pytest.approx(exact, abs=ROUNDING_ATOL)
    assert ergodic_renewal(texts, 8, start_law=law).value > exact + 0.01


@pytest.mark.parametrize("vocabulary_size", [2, 4, 8])
@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_uniform_laws_are_exact_from_any_sample(vocabulary_size, levels):
    nodes = (vocabulary_size**levels - 1) // (vocabulary_size - 1)
    if nodes < 100:  # texts of 100 tokens leave starts only below that
        noise = np.random.default_rng(0).random((2, 100, 3))
        estimate = ergodic_renewal(sample_texts(REFERENCE[f"uniform-{vocabulary_size}"], noise), nodes)
        assert estimate.value == pytest.approx(levels, abs=ROUNDING_ATOL)
    else:
        text = SampledText(np.full(nodes, np.log(vocabulary_size)), False, "0")
        assert ergodic_renewal([text], nodes).value == pytest.approx(levels, abs=ROUNDING_ATOL)


def test_certain_end_of_text_gives_one_token():
    text = SampledText(np.zeros(1), True, "0")
    for node_budget in (1, 2, 64):
        assert ergodic_renewal([text], node_budget).value == pytest.approx(1.0, abs=ROUNDING_ATOL)


def test_certain_tokens_leave_no_limit_but_the_budget():
    text = SampledText(np.zeros(40), False, "0")
    for node_budget in (1, 7, 40):
        assert ergodic_renewal([text], node_budget).value == pytest.approx(node_budget, abs=ROUNDING_ATOL)


def test_huge_surprisals_neither_overflow_nor_count():
    text = SampledText(np.array([0.5, 2000.0, 1.0, 900.0, 0.1]), True, "0")
    assert ergodic_renewal([text], 4).value == pytest.approx(
        ergodic_renewal_integral([text], 4), abs=ROUNDING_ATOL
    )


@pytest.mark.parametrize("name", thinned(IID, 2))
def test_equals_the_iid_renewal_bound_on_iid_sources(name):
    """Independent contexts: E N_P is the renewal count of the exact step law, so both bounds are one number.

    8 sources x 3 budgets at 4 standard errors plus 0.1% for the lattice of the other one (width 2^-14 nats,
    rounded down): false alarm below 24 x 6e-5 = 0.15%. SE is at most 1.5%, so a bound wrong by 8%
    would be seen with power above 0.97."""
    source = REFERENCE[name]
    texts = sample_texts(source, np.random.default_rng(21).random((100, 400, 3)))
    rows = source.laws[0]
    law = from_laws(rows)
    for node_budget in (4, 16, 64):
        estimate = ergodic_renewal(texts, node_budget)
        exact = node_count(law, node_budget).integral
        assert estimate.standard_error < 0.015 * exact
        assert abs(estimate.value - exact) < 4 * estimate.standard_error + 0.001 * exact


@pytest.mark.slow
@pytest.mark.parametrize("name", CORRELATED)
def test_dominates_the_optimum_of_correlated_sources(name):
    """Plain, and stratified with thresholds from other texts: never below the simulated optimum by 3 SE.

    2 sources x 6 budgets x 2 forms, each one-sided at 3 joint SE: false alarm below 24 x 0.00135 = 3.3%
    (less: budgets share their samples, and the bounds lie above). At P = 1024 the SE is 3%, elsewhere below
    2%: an estimate biased down by 10% is caught with power above 0.9."""
    source = REFERENCE[name]
    rng = np.random.default_rng(22)
    optimum = simulate_optimum(source, 1024, 4000, rng)
    texts = sample_texts(source, rng.random((100, 2000, 3)))
    others = sample_texts(source, rng.random((40, 2000, 3)))
    strata = quantile_strata(others, 3)
    for node_budget in (1, 4, 16, 64, 256, 1024):
        truth, truth_error = optimum.tokens_per_call[node_budget - 1], optimum.standard_error[node_budget - 1]
        plain = ergodic_renewal(texts, node_budget)
        split = ergodic_renewal_at(texts, choose_thresholds(others, node_budget, strata))
        for estimate in (plain, split):
            assert estimate.standard_error <= 0.04 * estimate.value
            assert estimate.value >= truth - 3 * np.hypot(estimate.standard_error, truth_error)
            assert estimate.value <= 1.12 * truth + 3 * estimate.standard_error


@pytest.mark.slow
def test_dropping_starts_by_outcome_is_biased_down():
    """Cut texts of 60 tokens, P = 32. Kept by outcome: only starts whose surprisals sum past ln P + 2 in what
    is left of the text; low-surprisal continuations near the cut disappear.

    The blind rule stays within 4 SE of the optimum's ergodic value from long texts (false alarm 6e-5); the
    outcome rule falls at least 8 joint SE below it."""
    source = REFERENCE["sticky-0.95"]
    rng = np.random.default_rng(23)
    long = ergodic_renewal(sample_texts(source, rng.random((300, 1500, 3))), 32)
    cut = sample_texts(source, rng.random((4000, 60, 3)))
    blind = ergodic_renewal(cut, 32)
    # Calling a text ended, with one token more, makes every start usable: the mistake, spelt out.
    pretended = [SampledText(np.append(text.surprisals, 0.0), True, text.prompt_id) for text in cut]
    remaining = [np.cumsum(text.surprisals[::-1])[::-1] for text in pretended]
    kept = StartLaw("by outcome", tuple((left > np.log(32) + 2.0).astype(float) for left in remaining))
    dropped = ergodic_renewal(pretended, 32, start_law=kept)
    assert abs(blind.value - long.value) < 4 * np.hypot(blind.standard_error, long.standard_error)
    assert dropped.value < long.value - 8 * np.hypot(dropped.standard_error, long.standard_error)


@pytest.mark.slow
def test_ended_texts_must_obey_the_length_limit_too():
    """A law with 4% end of text at every context, limit 24, P = 16: all starts are alike, so the truth is one
    number. Obeying the limit, the bound is right; ignoring it (short endings near the limit kept, long
    continuations there dropped) it falls below the exact optimum, by at least 6 SE.

    The first half is within 4 SE (false alarm 6e-5)."""
    laws = np.array([[[0.04, 0.66, 0.2, 0.1]]])
    source = TokenSource("ending", laws, np.ones((1, 4, 1)), np.ones(1), end_of_text=0)
    exact = best_tree(source, 0, 16).tokens_per_call[-1]
    texts = sample_texts(source, np.random.default_rng(24).random((20_000, 24, 3)))
    obeying = ergodic_renewal(texts, 16)
    ignoring = ergodic_renewal(
        [SampledText(text.surprisals, text.ended, text.prompt_id) for text in texts], 16
    )
    # One law at all contexts: N is not random, Jensen's inequality is an equality.
    assert abs(obeying.value - exact) < 4 * obeying.standard_error
    assert ignoring.value < exact - 6 * ignoring.standard_error


def test_call_starts_are_weights_by_repetition():
    rng = np.random.default_rng(3)
    texts = [SampledText(rng.exponential(1.0, 30), False, str(i)) for i in range(2)]
    chosen = call_starts(texts, [np.array([0, 4, 4]), np.array([2])])
    estimate = ergodic_renewal(texts, 6, start_law=chosen)
    assert estimate.start_law == "call starts"
    assert estimate.starts == 3
    parts = [SampledText(text.surprisals[i:], False, "0") for text, i in zip(texts, (0, 2), strict=True)]
    parts += [SampledText(texts[0].surprisals[4:], False, "0")] * 2
    first = StartLaw("first", tuple(np.eye(1, len(part))[0] for part in parts))
    assert estimate.value == pytest.approx(
        ergodic_renewal(parts, 6, start_law=first).value, abs=ROUNDING_ATOL
    )


def test_as_a_bound_it_names_its_start_law_and_no_independence():
    rng = np.random.default_rng(4)
    texts = sample_texts(REFERENCE["sticky-0.95"], rng.random((20, 100, 3)))
    estimate = ergodic_renewal(texts, 16, draws=resample_prompts(20, 50, rng))
    bound = ergodic_bound(estimate)
    assert (bound.name, bound.side, bound.value) == ("ergodic_renewal", "upper", estimate.corrected)
    assert Assumption.IID_CONTEXTS not in bound.assumptions
    assert Assumption.SAME_START_LAW in bound.assumptions
    assert "uniform positions" in bound.validity
    assert estimate.interval is not None
    assert estimate.interval.lower < estimate.value < estimate.interval.upper
    split = ergodic_renewal(texts, 16, quantile_strata(texts, 2))
    assert ergodic_bound(split).name == "ergodic_renewal_stratified"
    alone = ergodic_renewal(texts[:1], 16)
    assert np.isnan(alone.corrected)
    assert ergodic_bound(alone).value == alone.value


def test_unusable_input_is_refused():
    short = [SampledText(np.ones(5), False, "0")]
    with pytest.raises(InvalidInput, match="further tokens"):
        ergodic_renewal(short, 7)
    with pytest.raises(InvalidInput, match="without"):
        ergodic_renewal(short, 2, Strata(np.array([1.0])))
    with pytest.raises(InvalidInput, match="have none"):
        quantile_strata(short, 2)
    with pytest.raises(InvalidInput, match="increase"):
        Strata(np.array([1.0, 1.0]))
    with pytest.raises(InvalidInput, match="finite"):
        SampledText(np.array([1.0, np.inf]), False, "0")
    with pytest.raises(InvalidInput, match="features"):
        SampledText(np.ones(3), False, "0", np.ones(2))
    with pytest.raises(InvalidInput, match="length_limit"):
        SampledText(np.ones(3), True, "0", length_limit=2)
    with pytest.raises(InvalidInput, match="one array of starts"):
        call_starts(short, [])
    with pytest.raises(InvalidInput, match="must lie in"):
        call_starts(short, [np.array([5])])
    with pytest.raises(InvalidInput, match="other texts"):
        ergodic_renewal(short, 2, start_law=StartLaw("wrong", (np.ones(4),)))


def test_negative_surprisals_are_clamped():
    assert SampledText(np.array([-1e-7, 1.0]), False, "0").surprisals.tolist() == [0.0, 1.0]
