"""All bounds that one kind of knowledge about a target allows, in one call."""

from __future__ import annotations

from speclight.theory.bound import Bound
from speclight.theory.iid.leading_terms import corollary_1, lemma_5, limit, theorem_1_leading_term
from speclight.theory.iid.lower import lemma_6, lemma_6_renewal
from speclight.theory.iid.renewal import renewal
from speclight.theory.iid.upper import leaf_entropy, sharpened_theorem_1, theorem_1, trivial
from speclight.theory.laws.step_law import StepLaw


def bounds_from_moments(
    mu: float, mu2: float, node_budget: int, vocabulary_size: int | None = None
) -> tuple[Bound, ...]:
    """Every bound that mu (nats), mu2 (nats^2) and P allow, upper bounds first.

    vocabulary_size: the largest support of a target law, which the leaf-entropy bound needs; left out
    where not given. Raises InvalidInput for arguments out of range.
    """
    bounds = [
        trivial(node_budget),
        theorem_1(mu, mu2, node_budget),
        sharpened_theorem_1(mu, mu2, node_budget),
    ]
    if vocabulary_size is not None:
        bounds.append(leaf_entropy(mu, node_budget, vocabulary_size))
    bounds += [
        lemma_6(mu, mu2, node_budget),
        limit(mu, node_budget),
        corollary_1(mu, node_budget),
        theorem_1_leading_term(mu, mu2, node_budget),
    ]
    if node_budget >= 2:  # ln ln P
        bounds.append(lemma_5(mu, node_budget))
    return tuple(bounds)


def bounds_from_step_law(
    law: StepLaw, node_budget: int, vocabulary_size: int | None = None
) -> tuple[Bound, ...]:
    """Every bound that a measured step law and P allow: those of its two moments and the renewal forms.

    vocabulary_size: as above; taken from the law where it knows it and none is given.
    """
    size = law.vocabulary_size if vocabulary_size is None else vocabulary_size
    return (
        *bounds_from_moments(law.mu, law.mu2, node_budget, size),
        renewal(law, node_budget),
        lemma_6_renewal(law, node_budget),
    )
