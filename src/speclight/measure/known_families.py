"""What records say about a target and a drafter, family by family; every folder is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from speclight.errors import InvalidInput
from speclight.measure.drafter_limits import known_drafter
from speclight.measure.drafter_profile import DrafterProfile
from speclight.measure.known_family import KnownFamily
from speclight.measure.profile import Profile
from speclight.theory.ergodic.strata import quantile_strata
from speclight.theory.iid.known_drafter import KnownDrafter
from speclight.theory.known import Known, known_from_texts
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.step_law import merged

TOGETHER = "all families"


def with_drafter_record(known: Known, record: DrafterProfile | None, family: str = "") -> KnownFamily:
    """The family beside what its drafter's record holds: its own prompts, or all if it has none of them."""
    if record is None:
        return KnownFamily(family, known)
    own = record.of_family(family) if family in record.families else record
    return KnownFamily(family, replace(known, drafter=known_drafter(own)), own)


def as_one_family(profile: Profile, families: Sequence[str] = (), name: str = TOGETHER) -> Profile:
    """The texts of several families as those of one, called `name`: a load that mixes them as they stand.

    families: all of them if none is named. Raises InvalidInput for one that the profile lacks.
    """
    chosen = _chosen(profile, families)
    return replace(
        profile,
        folder=None,
        texts=tuple(replace(text, family=name) for text in profile.texts if text.family in chosen),
        step_laws={name: reduce(merged, (profile.step_laws[family] for family in chosen))},
    )


def known_families(
    profile: Profile,
    largest_budget: int,
    *,
    families: Sequence[str] = (),
    strata: int = 1,
    strata_from: Profile | None = None,
    drafter: KnownDrafter | None = None,
    record: DrafterProfile | None = None,
) -> list[KnownFamily]:
    """What a profile says about each family, in its order; all of them if none is named.

    strata: quantiles of the entropy that sort contexts, chosen on strata_from's texts, or on the family's
    own. drafter, record: at most one of the two. Raises InvalidInput for a family the profile lacks or texts
    without entropies.
    """
    chosen = _chosen(profile, families)
    others = None if strata_from is None else _texts_of(strata_from)
    found: list[KnownFamily] = []
    for name in chosen:
        texts = profile.sampled_texts(name)
        known = known_from_texts(
            texts,
            largest_budget,
            profile.step_laws[name],
            quantile_strata(texts if others is None else others, strata),
            drafter,
        )
        found.append(with_drafter_record(known, record, name))
    return found


def _chosen(profile: Profile, families: Sequence[str]) -> list[str]:
    unknown = [name for name in families if name not in profile.families]
    if unknown:
        raise InvalidInput(
            f"the profile has no family {unknown[0]!r}; choose among: {', '.join(profile.families)}"
        )
    return [name for name in profile.families if not families or name in families]


def _texts_of(profile: Profile) -> list[SampledText]:
    return [text for family in profile.families for text in profile.sampled_texts(family)]
