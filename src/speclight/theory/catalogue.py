"""The statements on tokens per call: what each needs to know, how it is evaluated, and what it is called.

One table for the command line, the demo, the experiments and the documentation: a new bound is a function
and an entry here. `Known.bounds` evaluates those that what is known allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeVar

from speclight.theory.bound import Bound
from speclight.theory.ergodic.bound import ergodic_bound, ergodic_renewal
from speclight.theory.ergodic.chains import chains_at_starts
from speclight.theory.ergodic.seen_trees import seen_tree_at_starts
from speclight.theory.iid.leading_terms import (
    corollary_1,
    lemma_5,
    limit,
    theorem_1_leading_term,
    two_moments_limit,
)
from speclight.theory.iid.lemma_7 import (
    lemma_7_corrected,
    lemma_7_corrected_leading_order,
    lemma_7_corrected_two_moments,
    lemma_7_printed,
)
from speclight.theory.iid.lower import lemma_6, lemma_6_renewal, two_moments_lower
from speclight.theory.iid.markov_renewal import markov_renewal
from speclight.theory.iid.renewal import renewal
from speclight.theory.iid.upper import leaf_entropy, sharpened_theorem_1, theorem_1, trivial, two_moments
from speclight.theory.laws.step_law import StepLaw

if TYPE_CHECKING:
    from speclight.theory.known import Known

Value = TypeVar("Value")
Evaluation = Callable[["Known", int], Bound]
# Where a statement is drawn: in the demo and everywhere else, in pictures that compare bounds, or nowhere
# (it repeats one that is drawn, or its leading term).
Drawn = Literal["demo", "comparison", "nowhere"]


class Fact(StrEnum):
    """Something that may be known; the value is its name in words."""

    MOMENTS = "two moments of the target, mu and mu2"
    VOCABULARY = "the largest number of tokens a context gives positive probability"
    STEP_LAW = "the target's step law"
    TEXTS = "texts sampled from the target with their log-probabilities"
    LISTED = "likely tokens of every context in those texts"
    STRATA = "strata of the texts' contexts"
    DRAFTER = "how a drafter meets the target: cross-entropy and misses"
    DRAFTER_LAW = "the drafter's own step law"
    DRAFTER_MOMENTS = "two moments of the drafter's own law"


@dataclass(frozen=True, slots=True)
class Statement:
    """One entry of the catalogue.

    name: also of the bounds it gives. needs: facts without which it says nothing. evaluate: its bound from
    what is known, at P. label: for legends. meaning: one line for readers. drawn: in which pictures.
    smallest_budget: the P from which on it is defined.
    """

    name: str
    needs: tuple[Fact, ...]
    evaluate: Evaluation
    label: str
    meaning: str
    drawn: Drawn = "nowhere"
    smallest_budget: int = 1


def _given(value: Value | None) -> Value:
    assert value is not None, "a statement is evaluated only where what it needs is known"
    return value


def _of_moments(bound: Callable[[float, float, int], Bound]) -> Evaluation:
    return lambda known, budget: bound(_given(known.moments).mu, _given(known.moments).mu2, budget)


def _of_entropy(bound: Callable[[float, int], Bound]) -> Evaluation:
    return lambda known, budget: bound(_given(known.moments).mu, budget)


def _of_law(bound: Callable[[StepLaw, int], Bound]) -> Evaluation:
    return lambda known, budget: bound(_given(known.step_law), budget)


def _trivial(known: Known, budget: int) -> Bound:
    return trivial(budget)


def _leaf_entropy(known: Known, budget: int) -> Bound:
    return leaf_entropy(_given(known.moments).mu, budget, _given(known.vocabulary_size))


def _markov_renewal(known: Known, budget: int) -> Bound:
    return markov_renewal(known.kernel, known.start_shares(budget), budget)


def _ergodic_renewal(known: Known, budget: int) -> Bound:
    return ergodic_bound(ergodic_renewal(known.texts, budget, None, known.start_law))


def _ergodic_renewal_stratified(known: Known, budget: int) -> Bound:
    return ergodic_bound(ergodic_renewal(known.texts, budget, known.strata, known.start_law))


def _chains(known: Known, budget: int) -> Bound:
    return chains_at_starts(known.texts, budget, known.start_law)


def _seen_tree(known: Known, budget: int) -> Bound:
    return seen_tree_at_starts(known.texts, budget, known.start_law)


def _lemma_7_printed(known: Known, budget: int) -> Bound:
    return _given(known.drafter).bound(
        lambda moments, _: lemma_7_printed(moments.mean_ratio, moments.miss_probability, budget)
    )


def _lemma_7_corrected_leading_order(known: Known, budget: int) -> Bound:
    return _given(known.drafter).bound(
        lambda moments, _: lemma_7_corrected_leading_order(
            moments.cross_entropy_on_hits, moments.miss_probability, budget
        )
    )


def _lemma_7_corrected(known: Known, budget: int) -> Bound:
    return _given(known.drafter).bound(
        lambda moments, law: lemma_7_corrected(
            moments.cross_entropy_on_hits, moments.miss_probability, _given(law), budget
        )
    )


def _lemma_7_corrected_two_moments(known: Known, budget: int) -> Bound:
    drafter = _given(known.drafter)
    met, own = drafter.moments, _given(drafter.own_moments)
    return lemma_7_corrected_two_moments(
        met.cross_entropy_on_hits, met.miss_probability, own.mu, own.mu2, budget
    )


_MOMENTS = (Fact.MOMENTS,)
_SORTED_TEXTS = (Fact.TEXTS, Fact.STRATA)
_DRAFTER = (Fact.DRAFTER,)

# In the order in which they are shown: from two moments, from the step law, from texts, of a drafter.
STATEMENTS = (
    Statement("trivial", (), _trivial, "P", "every token emitted needs a position scored"),
    Statement(
        "theorem_1",
        _MOMENTS,
        _of_moments(theorem_1),
        "Theorem 1, as printed",
        "the paper’s bound from two moments, μ and μ₂, if contexts were independent draws",
        "demo",
    ),
    Statement(
        "sharpened_theorem_1",
        _MOMENTS,
        _of_moments(sharpened_theorem_1),
        "Theorem 1, sharpened (ours)",
        "Theorem 1 with the correct renewal envelope, if contexts were independent draws",
        "comparison",
    ),
    Statement(
        "two_moments",
        _MOMENTS,
        _of_moments(two_moments),
        "two moments (ours)",
        "the sharpest form from the same two moments, if contexts were independent draws",
        "demo",
    ),
    Statement(
        "leaf_entropy",
        (Fact.MOMENTS, Fact.VOCABULARY),
        _leaf_entropy,
        "leaf entropy (ours)",
        "the entropy of where the text leaves the tree, if contexts were independent draws",
        "comparison",
    ),
    Statement(
        "lemma_6",
        _MOMENTS,
        _of_moments(lemma_6),
        "Lemma 6 with its constants (ours)",
        "what the best tree reaches at least, from two moments, if contexts were independent draws",
    ),
    Statement(
        "two_moments_lower",
        _MOMENTS,
        _of_moments(two_moments_lower),
        "two moments, from below (ours)",
        "what the best tree reaches at least, the sharper form, if contexts were independent draws",
        "comparison",
    ),
    Statement(
        "limit",
        _MOMENTS,
        _of_entropy(limit),
        "ln(P)/mu",
        "the leading term ln(P)/μ as P grows; it bounds nothing at a finite P",
        "demo",
    ),
    Statement(
        "corollary_1",
        _MOMENTS,
        _of_entropy(corollary_1),
        "Corollary 1",
        "the leading term ln(P)/μ from both sides; it bounds nothing at a finite P",
    ),
    Statement(
        "two_moments_limit",
        _MOMENTS,
        _of_entropy(two_moments_limit),
        "ln(P)/mu + O(1) (ours)",
        "the same leading term for every law of surprisals, with a remainder bounded in P",
    ),
    Statement(
        "theorem_1_leading_term",
        _MOMENTS,
        _of_moments(theorem_1_leading_term),
        "Theorem 1, leading term",
        "Theorem 1 without the term that stays bounded as P grows; it bounds nothing at a finite P",
    ),
    Statement(
        "lemma_5",
        _MOMENTS,
        _of_entropy(lemma_5),
        "Lemma 5",
        "the leading terms of the lower half as P grows; they bound nothing at a finite P",
        smallest_budget=2,  # ln ln P
    ),
    Statement(
        "renewal",
        (Fact.STEP_LAW,),
        _of_law(renewal),
        "renewal bound (ours)",
        "the sharper bound from the whole step law, if contexts were independent draws",
        "demo",
    ),
    Statement(
        "lemma_6_renewal",
        (Fact.STEP_LAW,),
        _of_law(lemma_6_renewal),
        "Lemma 6 on the step law (ours)",
        "what the best tree reaches at least, from the step law, if contexts were independent draws",
        "comparison",
    ),
    Statement(
        "markov_renewal",
        _SORTED_TEXTS,
        _markov_renewal,
        "Markov renewal (ours)",
        "the renewal bound of a model whose context types follow each other as in the texts",
        "comparison",
    ),
    Statement(
        "ergodic_renewal",
        (Fact.TEXTS,),
        _ergodic_renewal,
        "ergodic renewal bound (ours)",
        "the bound that needs no independence, from the surprisals of sampled text alone",
        "demo",
    ),
    Statement(
        "ergodic_renewal_stratified",
        _SORTED_TEXTS,
        _ergodic_renewal_stratified,
        "ergodic renewal, stratified (ours)",
        "the bound that needs no independence, with starts sorted by what is known of them",
        "comparison",
    ),
    Statement(
        "seen_tree",
        (Fact.TEXTS, Fact.LISTED),
        _seen_tree,
        "seen trees, from below (ours)",
        "what the best tree reaches at least, from each text and the likely tokens beside it",
        "comparison",
    ),
    Statement(
        "chains",
        (Fact.TEXTS,),
        _chains,
        "chains only (ours)",
        "the bound for drafts without branches, from the surprisals of sampled text alone",
        smallest_budget=2,  # one drafted token
    ),
    Statement(
        "lemma_7_printed",
        _DRAFTER,
        _lemma_7_printed,
        "Lemma 7, as printed",
        "the paper’s leading term for a drafter, false where the drafter can miss",
    ),
    Statement(
        "lemma_7_corrected_leading_order",
        _DRAFTER,
        _lemma_7_corrected_leading_order,
        "Lemma 7, corrected, leading order",
        "the leading term for a drafter, in which leaving the tree and missing add up",
    ),
    Statement(
        "lemma_7_corrected",
        (Fact.DRAFTER, Fact.DRAFTER_LAW),
        _lemma_7_corrected,
        "Lemma 7, corrected, at this P",
        "what the drafter’s best-first tree reaches at least, from its step law, for i.i.d. pairs of laws",
    ),
    Statement(
        "lemma_7_corrected_two_moments",
        (Fact.DRAFTER, Fact.DRAFTER_MOMENTS),
        _lemma_7_corrected_two_moments,
        "Lemma 7, corrected, from two moments",
        "what the drafter’s best-first tree reaches at least, from its two moments, for i.i.d. pairs of laws",
    ),
)
BY_NAME = {statement.name: statement for statement in STATEMENTS}


def drawn_in(picture: Literal["demo", "comparison"]) -> tuple[Statement, ...]:
    """The statements drawn in the demo, or in pictures that compare bounds (which draw the demo's too)."""
    return tuple(s for s in STATEMENTS if s.drawn == "demo" or s.drawn == picture)


def about_drafters() -> tuple[Statement, ...]:
    """The statements that say something of a given drafter."""
    return tuple(statement for statement in STATEMENTS if Fact.DRAFTER in statement.needs)
