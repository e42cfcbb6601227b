"""mu and mu_(2) of one family, from full laws and from sampled log-probabilities."""

from __future__ import annotations

from speclight.arrays import FloatArray
from speclight.experiments.demo.record import FamilyProfile
from speclight.measure.estimates import Estimate, ratio_of_totals
from speclight.measure.profile import Profile


def family_profile(profile: Profile, family: str) -> FamilyProfile:
    """Both estimators of mu (nats) and mu_(2) (nats²) over every context the family's texts visited.

    full: the mean of each context's own entropy and second log-moment. sampled: the mean of -ln p and
    (ln p)² of the token that was drawn there, an unbiased draw of the same quantities.
    """
    texts = profile.of_family(family)
    names = [text.prompt_id for text in texts]
    lengths = [float(len(text.token_ids)) for text in texts]

    def estimate(values: list[FloatArray]) -> Estimate:
        return ratio_of_totals(names, [float(value.sum()) for value in values], lengths)

    return FamilyProfile(
        family=family,
        prompts=len(set(names)),
        tokens=int(sum(lengths)),
        full_mu=estimate([text.entropies for text in texts]),
        full_mu2=estimate([text.second_log_moments for text in texts]),
        sampled_mu=estimate([-text.log_probs for text in texts]),
        sampled_mu2=estimate([text.log_probs**2 for text in texts]),
    )
