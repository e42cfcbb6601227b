"""Everything that is known allows: the table of statements, the kernel of texts, what a real model grants."""

from dataclasses import replace

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory import known as known_module
from speclight.theory.bound import Assumption, best_for_a_real_model, best_if_contexts_were_iid
from speclight.theory.catalogue import STATEMENTS, Fact
from speclight.theory.ergodic.strata import Strata
from speclight.theory.iid.known_drafter import OwnMoments, drafter_from_numbers
from speclight.theory.iid.text_kernel import kernel_of_texts, start_shares
from speclight.theory.known import Known, Moments, known_from_law, known_from_texts
from speclight.theory.laws.likely_tokens import likely_tokens
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import starts_shared_by_budgets
from speclight.theory.laws.step_law import from_laws, from_surprisals
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
    found = known_from_texts(texts, 64, law, strata).bounds(32)
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


def everything_known():
    drafter = drafter_from_numbers(1.2, 0.1, from_laws([[0.5, 0.3, 0.2]]), OwnMoments(1.0, 1.1))
    laws = likely_tokens([[0.6, 0.3, 0.1]] * 24)
    texts = [replace(text([0.3, 1.0, 0.5, 2.0] * 6, [0, 1, 1, 0] * 6), likely=laws) for _ in range(3)]
    law = from_laws([[0.7, 0.2, 0.1]])
    return known_from_texts(texts, 8, law, TWO_TYPES, drafter)


def test_every_statement_gives_the_bound_of_its_name_once_everything_is_known():
    assert [bound.name for bound in everything_known().bounds(4)] == [s.name for s in STATEMENTS]
    assert len({statement.name for statement in STATEMENTS}) == len(STATEMENTS)
    assert len({statement.label for statement in STATEMENTS}) == len(STATEMENTS)
    assert everything_known().facts == set(Fact)


def test_a_statement_is_left_out_where_a_fact_it_needs_is_missing():
    """Each fact taken away in turn takes away just the statements that need it (and what rests on it)."""
    known = everything_known()
    nothing = Known()
    assert [bound.name for bound in nothing.bounds(4)] == ["trivial"]
    assert "lemma_5" not in {bound.name for bound in known.bounds(1)}  # ln ln 1
    for statement in STATEMENTS:
        for fact in statement.needs:
            fewer = [s.name for s in STATEMENTS if known.facts - {fact} >= set(s.needs)]
            assert statement.name not in fewer
    moments = {bound.name for bound in Known(Moments(1.0, 1.5)).bounds(4)}
    assert "leaf_entropy" not in moments
    assert {"theorem_1", "limit", "lemma_6"} <= moments
    assert {"renewal", "leaf_entropy"} <= {b.name for b in known_from_law(from_laws([[0.5, 0.5]])).bounds(4)}


def test_the_kernel_is_built_once_for_all_budgets(monkeypatch):
    built = []

    def counted(*arguments):
        built.append(arguments)
        return kernel_of_texts(*arguments)

    monkeypatch.setattr(known_module, "kernel_of_texts", counted)
    known = everything_known()
    for budget in (2, 4, 8):
        known.bounds(budget)
    assert len(built) == 1


def test_texts_alone_give_the_step_law_of_their_surprisals():
    texts = [text([0.3, 1.0, 0.5, 2.0] * 6, [0, 1, 1, 0] * 6, ended=True)]
    known = known_from_texts(texts, 4)
    assert known.moments.mu == pytest.approx(0.95)
    assert known.vocabulary_size is None
    assert known.step_law.mass.sum() == pytest.approx(23 / 24)  # an end of text is no node
    with pytest.raises(InvalidInput, match="at least one text"):
        known_from_texts([], 4)
