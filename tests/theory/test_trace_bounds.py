"""Everything text allows: names and assumptions, the kernel's transitions, and what a real model grants."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption
from speclight.theory.ergodic.strata import Strata
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.step_law import from_surprisals
from speclight.theory.trace_bounds import (
    best_for_a_real_model,
    best_if_contexts_were_iid,
    bounds_from_traces,
    kernel_of_texts,
    start_shares,
    starts_shared_by_budgets,
)
from speclight.theory.truth.sources import reference_sources, sample_texts

ROUNDING_ATOL = 1e-12
TWO_TYPES = Strata(np.array([0.5]))


def text(surprisals, types, ended=False):
    return SampledText(np.array(surprisals), ended, "p", np.array(types, dtype=float), len(types))


def test_kernel_counts_transitions_and_leaves_out_the_unseen_ones():
    """Type 0 leads to 1 by tokens of ln 2; 1 ends once; the cut text's last token is left out."""
    step = np.log(2.0)
    texts = [text([step, step, step], [0, 0, 1], ended=True), text([step, step], [1, 0])]
    kernel = kernel_of_texts(texts, TWO_TYPES)
    totals = kernel.counts.sum(axis=2)
    # From type 0: one step to 0, one to 1. From type 1: one to 0, and one that ended.
    np.testing.assert_allclose(totals, [[1.0, 1.0], [1.0, 0.0]], rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_allclose(start_shares(texts, TWO_TYPES, 1), [0.6, 0.4], rtol=0, atol=ROUNDING_ATOL)


def test_without_features_there_are_no_types():
    bare = SampledText(np.ones(4), False, "p")
    with pytest.raises(InvalidInput, match="features"):
        kernel_of_texts([bare], TWO_TYPES)
    with pytest.raises(InvalidInput, match="no context"):
        kernel_of_texts([text([1.0, 1.0], [0, 0])], TWO_TYPES)


def test_a_real_model_is_bounded_by_the_ergodic_form_only():
    """On the sticky source every i.i.d. bound but the loosest is broken; what is named for a real model must
    be free of independence, and what is named for i.i.d. contexts lies far below it."""
    source = next(source for source in reference_sources() if source.name == "sticky-0.95")
    texts = sample_texts(source, np.random.default_rng(7).random((40, 400, 3)))
    law = from_surprisals(np.concatenate([t.surprisals for t in texts]))
    strata = Strata(np.array([np.median(source.entropies)]))
    starts = starts_shared_by_budgets(texts, 64)
    found = [m.bound for m in bounds_from_traces(law, texts, 32, starts, strata)]
    real, iid = best_for_a_real_model(found), best_if_contexts_were_iid(found)
    assert real.name.startswith("ergodic_renewal")
    assert Assumption.IID_CONTEXTS not in real.assumptions
    assert iid.name == "renewal"
    assert iid.value < 0.7 * real.value
    assert {b.name for b in found} >= {"markov_renewal", "ergodic_renewal_stratified", "lemma_6_renewal"}
    assert "leaf_entropy" not in {b.name for b in found}  # sampled surprisals do not know the vocabulary


def test_shared_starts_are_those_of_the_largest_budget():
    law = starts_shared_by_budgets([text(np.ones(10), np.zeros(10))], 4)
    np.testing.assert_array_equal(law.weights[0], [1.0] * 8 + [0.0] * 2)
