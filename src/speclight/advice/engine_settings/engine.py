"""What an engine can be told to do, and the best of a plan that it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from speclight.advice.configuration import Configuration
from speclight.advice.plan import Plan
from speclight.advice.prediction import Prediction
from speclight.drafting.tree_choices import Eagle2
from speclight.drafting.tree_names import read_tree
from speclight.trees.limited_growth import GrowthLimits

CHAIN = "chain"
# Rules under which a chain of the drafter's likeliest tokens is accepted as far as the target agrees.
TARGET_DECIDES = ("greedy", "target_sample")


@dataclass(frozen=True, slots=True)
class Served:
    """What an engine is to do with up to this many texts at once."""

    batch_size: int
    prediction: Prediction

    @property
    def configuration(self) -> Configuration:
        """What is drafted."""
        return self.prediction.configuration

    @property
    def drafted(self) -> int:
        """K: tokens drafted for one call; 0 for plain decoding."""
        return self.configuration.node_budget - 1


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How one engine is told to do the best of a plan that it can do.

    served: what that is, the smallest batch first. lost: share of the best tokens per second that is lost at
    the smallest batch, since the engine cannot do better. lines: of a command or a file. notes: what to know.
    """

    engine: str
    served: tuple[Served, ...]
    lost: float
    lines: tuple[str, ...]
    notes: tuple[str, ...]


class Engine(Protocol):
    """An engine, and what it takes."""

    @property
    def name(self) -> str:
        """As its makers write it."""
        ...

    @property
    def limits(self) -> str:
        """What it cannot do of what a plan may recommend, in one sentence."""
        ...

    @property
    def sets_budgets(self) -> bool:
        """Whether each of its calls can set its own node budget, by what that brings."""
        ...

    def serves(self, configuration: Configuration) -> bool:
        """Whether it can decode so. Plain decoding is not asked about: every engine can."""
        ...

    def lines(self, served: Sequence[Served]) -> tuple[str, ...]:
        """What it is told: one drafter, the smallest batch first, something drafted in at least one."""
        ...

    def notes(self, configuration: Configuration) -> tuple[str, ...]:
        """In what its decoding differs from what was predicted."""
        ...


def settings_for(engine: Engine, plans: Sequence[Plan]) -> EngineSettings:
    """The engine's settings for plans of the same trace, one for each batch size, the smallest first.

    One drafter and growth is served: that of the smallest batch at which drafting pays; P may differ.
    """
    alone = [_fastest(engine, plan, None).configuration for plan in plans]
    drafting = next((each for each in alone if not each.is_plain), None)
    served = tuple(Served(plan.batch_size, _fastest(engine, plan, drafting)) for plan in plans)
    best = plans[0].best
    lost = 1.0 - served[0].prediction.tokens_per_second.value / best.tokens_per_second.value
    limits = () if served[0].configuration == best.configuration else (f"{engine.name} {engine.limits}",)
    if drafting is None:
        return EngineSettings(engine.name, served, lost, (), (*limits, "leave speculation off"))
    return EngineSettings(engine.name, served, lost, engine.lines(served), (*limits, *engine.notes(drafting)))


def base_name(drafter: str) -> str:
    """The kind of a drafter, as `eagle3` of `eagle3=FOLDER`."""
    return drafter.partition("=")[0]


def weights_of(drafter: str, otherwise: str) -> str:
    """Its weights as the trace names them, or a word that stands for them."""
    return drafter.partition("=")[2] or otherwise


def square_limits(configuration: Configuration) -> GrowthLimits | None:
    """The limits of EAGLE-2 growth that continues as many nodes of a level as each of them has children."""
    if configuration.rule not in TARGET_DECIDES:
        return None
    tree = read_tree(configuration.growth, "deterministic")
    if not isinstance(tree, Eagle2):
        return None
    limits = tree.limits
    return limits if limits.children_per_node == limits.expanded_per_level else None


def _serves(engine: Engine, configuration: Configuration) -> bool:
    """Whether it decodes so. A budget that each call sets by what it brings is speclight's own."""
    return engine.serves(configuration) and (engine.sets_budgets or not configuration.is_auto)


def _fastest(engine: Engine, plan: Plan, like: Configuration | None) -> Prediction:
    """The plan's fastest that the engine serves: plain, or like the one given but for its P (any if None)."""

    def is_meant(found: Configuration) -> bool:
        return like is None or replace(like, node_budget=found.node_budget, is_auto=found.is_auto) == found

    return next(
        found
        for found in plan.predictions
        if found.configuration.is_plain
        or (is_meant(found.configuration) and _serves(engine, found.configuration))
    )
