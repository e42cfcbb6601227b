"""Drafters that fit a rule and a sampling, made from a choice or taken as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from speclight.drafting.drafter_choices import DrafterChoice
from speclight.drafting.drafter_names import read_drafter
from speclight.drafting.drafters import drafter_maker
from speclight.drafting.protocol import Drafter
from speclight.drafting.tree_choices import TreeChoice, default_tree
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings
from speclight.verification.rule import VerifyRule, default_kind


def drafter_for(
    target: CausalLM,
    drafter: str | DrafterChoice | Drafter,
    rule: VerifyRule,
    sampling: SamplingSettings,
    tree: TreeChoice | None = None,
) -> Drafter:
    """A drafter that fits rule and sampling, made from a name or a choice; a drafter is taken as it is.

    tree: by default that of a kind the rule verifies, deterministic where it can be. Raises InvalidInput as
    `read_drafter` and `drafter_maker` do.
    """
    if not isinstance(drafter, str | DrafterChoice):
        return drafter
    (made,) = drafters_for(target, drafter, rule, sampling, tree, 1)
    return made


def drafters_for(
    target: CausalLM,
    drafter: str | DrafterChoice | Sequence[Drafter],
    rule: VerifyRule,
    sampling: SamplingSettings,
    tree: TreeChoice | None,
    texts: int,
) -> Iterable[Drafter]:
    """`drafter_for` each of several texts: those made from one choice share their weights, not their state.

    Made one by one, as they are asked for. Raises InvalidInput, besides, for objects that are not as many
    different ones as there are texts.
    """
    if isinstance(drafter, str):
        drafter = read_drafter(drafter)
    if not isinstance(drafter, DrafterChoice):
        if len({id(one) for one in drafter}) != texts or len(drafter) != texts:
            raise InvalidInput(
                f"got {len(drafter)} drafter objects for {texts} texts, expected a different one for each: a "
                "drafter follows one text at a time; or give a drafter's name"
            )
        return drafter
    tree = default_tree(default_kind(rule)) if tree is None else tree
    make = drafter_maker(drafter, target, tree, sampling)
    return (make() for _ in range(texts))
