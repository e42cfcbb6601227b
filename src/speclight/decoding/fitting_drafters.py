"""Drafters that fit a rule and a sampling, made from a name or taken as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

from speclight.drafting.drafters import drafter_maker
from speclight.drafting.protocol import Drafter
from speclight.drafting.settings import DrafterSettings
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings
from speclight.trees.draft_tree import DraftKind
from speclight.verification.rule import VerifyRule


def drafter_for(
    target: CausalLM,
    drafter: str | Drafter,
    rule: VerifyRule,
    sampling: SamplingSettings,
    settings: DrafterSettings | None = None,
) -> Drafter:
    """A drafter that fits rule and sampling, made from a name; an object is taken as it is.

    settings: by default those of a kind the rule verifies, deterministic where it can be. Their `sampling` is
    always the one being decoded. Raises InvalidInput as `drafter_maker` does.
    """
    if not isinstance(drafter, str):
        return drafter
    (made,) = drafters_for(target, drafter, rule, sampling, settings, 1)
    return made


def drafters_for(
    target: CausalLM,
    drafter: str | Sequence[Drafter],
    rule: VerifyRule,
    sampling: SamplingSettings,
    settings: DrafterSettings | None,
    texts: int,
) -> Iterable[Drafter]:
    """`drafter_for` each of several texts: drafters made from one name share their weights, not their state.

    Made one by one, as they are asked for. Raises InvalidInput, besides, for objects that are not as many
    different ones as there are texts.
    """
    if not isinstance(drafter, str):
        if len({id(one) for one in drafter}) != texts or len(drafter) != texts:
            raise InvalidInput(
                f"got {len(drafter)} drafter objects for {texts} texts, expected a different one for each: a "
                "drafter follows one text at a time; or give a drafter's name"
            )
        return drafter
    settings = DrafterSettings(kind=default_kind(rule)) if settings is None else settings
    make = drafter_maker(drafter, target, replace(settings, sampling=sampling))
    return (make() for _ in range(texts))


def default_kind(rule: VerifyRule) -> DraftKind:
    """The first kind of draft, in the order of `DraftKind`, that the rule verifies."""
    kinds: tuple[DraftKind, ...] = get_args(DraftKind)
    return next(kind for kind in kinds if kind in rule.draft_kinds)
