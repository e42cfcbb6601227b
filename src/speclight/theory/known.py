"""What is known of a target and a drafter, and every bound that it allows at a node budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Bound, check_moments, check_node_budget
from speclight.theory.catalogue import STATEMENTS, Fact, Statement
from speclight.theory.ergodic.strata import Strata
from speclight.theory.iid.known_drafter import KnownDrafter
from speclight.theory.iid.markov_renewal import MarkovKernel
from speclight.theory.iid.text_kernel import kernel_of_texts, start_shares
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, starts_shared_by_budgets
from speclight.theory.laws.step_law import StepLaw, from_surprisals


@dataclass(frozen=True, slots=True)
class Moments:
    """mu (nats) and mu2 (nats^2) of a target. Raises InvalidInput where they contradict each other."""

    mu: float
    mu2: float

    def __post_init__(self) -> None:
        check_moments(self.mu, self.mu2)


@dataclass(frozen=True, eq=False)  # no slots: what is derived is kept; array fields: no ==
class Known:
    """Everything known of one target, and of one drafter for it; what is not known is left out.

    moments: of the target. vocabulary_size: largest support of a law. step_law: of the same target. texts:
    sampled from it. start_law: where calls start in them, uniform positions if None. strata: sort their
    contexts by feature; needed by what tells contexts apart. drafter: how it meets the target.
    """

    moments: Moments | None = None
    vocabulary_size: int | None = None
    step_law: StepLaw | None = None
    texts: Sequence[SampledText] = ()
    start_law: StartLaw | None = None
    strata: Strata | None = None
    drafter: KnownDrafter | None = None

    @cached_property
    def facts(self) -> frozenset[Fact]:
        """What a statement may need and finds here."""
        drafter = self.drafter
        there = {
            Fact.MOMENTS: self.moments is not None,
            Fact.VOCABULARY: self.vocabulary_size is not None,
            Fact.STEP_LAW: self.step_law is not None,
            Fact.TEXTS: bool(self.texts),
            Fact.LISTED: bool(self.texts)
            and all(text.likely is not None or text.listed is not None for text in self.texts),
            Fact.STRATA: bool(self.texts) and self.strata is not None and len(self.strata) > 1,
            Fact.DRAFTER: drafter is not None,
            Fact.DRAFTER_LAW: drafter is not None and drafter.law is not None,
            Fact.DRAFTER_MOMENTS: drafter is not None and drafter.own_moments is not None,
        }
        return frozenset(fact for fact, known in there.items() if known)

    @cached_property
    def kernel(self) -> MarkovKernel:
        """The Markov kernel of the texts with the strata as types; the same for every node budget.

        Raises InvalidInput if features are missing or a type has no context.
        """
        return kernel_of_texts(self.texts, self._sorted_by)

    def start_shares(self, node_budget: int) -> FloatArray:
        """[types] share of each stratum among the starts that the node budget can use."""
        return start_shares(self.texts, self._sorted_by, node_budget, self.start_law)

    def bounds(self, node_budget: int, statements: Sequence[Statement] = STATEMENTS) -> tuple[Bound, ...]:
        """Those of the statements that what is known allows, at this P, in the catalogue's order.

        Raises InvalidInput for a budget below 1, or one for which the texts hold no start.
        """
        budget = check_node_budget(node_budget)
        return tuple(
            statement.evaluate(self, budget)
            for statement in statements
            if self.facts.issuperset(statement.needs) and budget >= statement.smallest_budget
        )

    @property
    def _sorted_by(self) -> Strata:
        if self.strata is None:
            raise InvalidInput("context types need strata of the texts' contexts, got none")
        return self.strata


def known_from_law(law: StepLaw, vocabulary_size: int | None = None) -> Known:
    """A target of which the step law is known; vocabulary_size where the law does not know it itself."""
    size = law.vocabulary_size if vocabulary_size is None else vocabulary_size
    return Known(Moments(law.mu, law.mu2), size, law)


def known_from_texts(
    texts: Sequence[SampledText],
    largest_budget: int,
    law: StepLaw | None = None,
    strata: Strata | None = None,
    drafter: KnownDrafter | None = None,
) -> Known:
    """A target of which sampled texts are known, at the starts that largest_budget and every smaller P share.

    law: of the same texts from full laws; from their sampled surprisals if not given. Raises InvalidInput if
    there is no text.
    """
    known = known_from_law(_law_of_texts(texts) if law is None else law)
    return Known(
        moments=known.moments,
        vocabulary_size=known.vocabulary_size,
        step_law=known.step_law,
        texts=texts,
        start_law=starts_shared_by_budgets(texts, check_node_budget(largest_budget)),
        strata=strata,
        drafter=drafter,
    )


def bounds_from_moments(
    mu: float, mu2: float, node_budget: int, vocabulary_size: int | None = None
) -> tuple[Bound, ...]:
    """Every bound that mu (nats), mu2 (nats^2) and P allow.

    vocabulary_size: the largest support of a target law, which the leaf-entropy bound needs; left out
    where not given. Raises InvalidInput for arguments out of range.
    """
    return Known(Moments(mu, mu2), vocabulary_size).bounds(node_budget)


def _law_of_texts(texts: Sequence[SampledText]) -> StepLaw:
    if not texts:
        raise InvalidInput("the bounds of sampled texts need at least one text, got none")
    ends = [
        np.arange(len(text)) == len(text) - 1 if text.ended else np.zeros(len(text), bool) for text in texts
    ]
    return from_surprisals(np.concatenate([text.surprisals for text in texts]), ends=np.concatenate(ends))
