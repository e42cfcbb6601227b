"""mu and mu_(2) of one family, from full laws and from sampled log-probabilities."""

from __future__ import annotations

from speclight.arrays import FloatArray
from speclight.experiments.demo.record import FamilyProfile
from speclight.measure.estimates import Estimate, ratio_of_totals
from speclight.measure.profile import Profile


def family_profile(profile: Profile, family: str) -> FamilyProfile:
    """Both estimators of mu (nats) and mu_(2) (nats²) over every context the family's texts visited.

    full: the mean of each context's own entropy and second log-moment. sampled: the mean of -ln p and
    (ln p)² of the token that was drawn there, an unbiased draw of the same quantities. full is None where the
    profile of an endpoint holds sampled log-probabilities alone.
    """
    texts = profile.of_family(family)
    names = [text.prompt_id for text in texts]
    lengths = [float(len(text.log_probs)) for text in texts]

    def estimate(values: list[FloatArray]) -> Estimate:
        return ratio_of_totals(names, [float(value.sum()) for value in values], lengths)

    def known(values: list[FloatArray | None]) -> Estimate | None:
        found = [value for value in values if value is not None]
        return estimate(found) if len(found) == len(values) else None

    return FamilyProfile(
        family=family,
        prompts=len(set(names)),
        tokens=int(sum(lengths)),
        full_mu=known([text.entropies for text in texts]),
        full_mu2=known([text.second_log_moments for text in texts]),
        sampled_mu=estimate([-text.log_probs for text in texts]),
        sampled_mu2=estimate([text.log_probs**2 for text in texts]),
    )
