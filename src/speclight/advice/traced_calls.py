"""The calls that each configuration would make at the starts of a trace: tokens, nodes, cost and weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from speclight.advice.call_starts import visits
from speclight.advice.draft_costs import DraftCosts, TracedCosts
from speclight.advice.growth_values import growth_values, nested_budgets
from speclight.advice.ordered_trees import OrderedTrees, ordered_trees
from speclight.advice.start_set import StartSet
from speclight.arrays import FloatArray
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class TracedCalls:
    """One (drafter, growth, rule) at every start and at several node budgets; arrays are [starts, budgets].

    expected_tokens: E[X] given the context. sizes: nodes the target scores. costs: of drafting; None if the
    trace does not hold them. visits: weight of each start in a decode, see `call_starts`; None where the
    trace cannot tell: starts without neighbours, and rules whose outcomes in the text it does not hold.
    """

    drafter: str
    growth: str
    rule: str
    node_budgets: tuple[int, ...]
    expected_tokens: FloatArray
    sizes: FloatArray
    costs: DraftCosts | None
    visits: FloatArray | None

    @property
    def weights(self) -> FloatArray:
        """Visits where they are known, else one for each start."""
        return np.ones_like(self.expected_tokens) if self.visits is None else self.visits

    def at(self, places: Sequence[int]) -> TracedCalls:
        """The calls at some of the node budgets, by their places."""
        kept, costs = list(places), self.costs
        return replace(
            self,
            node_budgets=tuple(self.node_budgets[place] for place in kept),
            expected_tokens=self.expected_tokens[:, kept],
            sizes=self.sizes[:, kept],
            costs=None if costs is None else DraftCosts(costs.calls[:, kept], costs.nodes[:, kept]),
            visits=None if self.visits is None else self.visits[:, kept],
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which configurations of a trace are meant; empty: all that it holds.

    node_budgets: empty for every P from 2 to the largest traced, of each growth.
    """

    drafters: tuple[str, ...] = ()
    growths: tuple[str, ...] = ()
    node_budgets: tuple[int, ...] = ()


def traced_calls(starts: StartSet, rule: str, choice: Choice) -> Iterator[TracedCalls]:
    """The calls of every growth chosen, deterministic trees first, then samples and races of each drafter.

    rule: of deterministic trees; all lossless ones emit alike there. Raises InvalidInput for a drafter, a
    growth or a node budget that the trace does not hold.
    """
    _check_choice(starts, choice)
    for drafter, growths in starts.growths.items():
        if choice.drafters and drafter not in choice.drafters:
            continue
        trees, costs = ordered_trees(starts.starts, drafter), TracedCosts(starts, drafter)
        for growth, budgets in growths.items():
            if not choice.growths or growth in choice.growths:
                wanted = _budgets(choice, growth, budgets[-1])
                if wanted:
                    yield _deterministic(starts, trees, costs, (drafter, growth, rule), wanted, budgets[-1])
        yield from _sampled(starts, costs, drafter, choice)


def _deterministic(
    starts: StartSet,
    trees: OrderedTrees,
    costs: TracedCosts,
    names: tuple[str, str, str],
    node_budgets: tuple[int, ...],
    largest: int,
) -> TracedCalls:
    drafter, growth, rule = names
    values = growth_values(trees, read_tree(growth, "deterministic"), node_budgets, largest)
    weights = visits(starts.window_begins, starts.positions, values.emitted_tokens)
    return TracedCalls(
        drafter=drafter,
        growth=growth,
        rule=rule,
        node_budgets=node_budgets,
        expected_tokens=values.expected_tokens,
        sizes=values.sizes.astype(np.float64),
        costs=costs.at(growth, node_budgets),
        visits=weights if weights.sum(axis=0).all() else None,
    )


def _sampled(starts: StartSet, costs: TracedCosts, drafter: str, choice: Choice) -> Iterator[TracedCalls]:
    """Samples and races: E[X] is the mean over the noises traced, at the budgets traced."""
    columns: dict[tuple[str, str], dict[int, FloatArray]] = {}
    noises: dict[tuple[str, str, int], int] = {}
    for row, start in enumerate(starts.starts):
        for value in start.drafters[drafter].sampled:
            budgets = columns.setdefault((value.tree, value.rule), {})
            totals = budgets.setdefault(value.node_budget, np.zeros(len(starts)))
            totals[row] += value.expected_tokens
            key = (value.tree, value.rule, value.node_budget)
            noises[key] = max(noises.get(key, 0), value.noise + 1)
    for (tree, rule), budgets in columns.items():
        chosen = sorted(budget for budget in budgets if budget in (choice.node_budgets or budgets))
        if not chosen or (choice.growths and tree not in choice.growths):
            continue
        drawn = np.array([noises[tree, rule, budget] for budget in chosen])
        yield TracedCalls(
            drafter=drafter,
            growth=tree,
            rule=rule,
            node_budgets=tuple(chosen),
            expected_tokens=np.stack([budgets[budget] for budget in chosen], axis=1) / drawn,
            sizes=np.tile(np.array(chosen, dtype=np.float64), (len(starts), 1)),
            costs=costs.at(tree, chosen),
            visits=None,
        )


def _budgets(choice: Choice, growth: str, largest: int) -> tuple[int, ...]:
    """The budgets asked for, or all; of a growth traced up to less than another, those it reaches."""
    asked = choice.node_budgets or range(2, largest + 1)
    reached = [budget for budget in asked if budget <= largest]
    return nested_budgets(read_tree(growth, "deterministic"), reached, largest)


def _check_choice(starts: StartSet, choice: Choice) -> None:
    held = starts.growths
    for name in choice.drafters:
        if name not in held:
            raise InvalidInput(
                f"the trace holds no drafter {name!r}, expected one of {', '.join(held) or 'none'}; name one "
                "of these, or trace it",
                argument="drafter",
            )
    drafters = choice.drafters or tuple(held)
    if not drafters:
        raise InvalidInput("the trace holds no drafter, so there is nothing to score; trace at least one")
    known = {growth for name in drafters for growth in held[name]} | {
        value.tree for name in drafters for value in starts.starts[0].drafters[name].sampled
    }
    for growth in choice.growths:
        if growth not in known:
            raise InvalidInput(
                f"the trace holds no growth {growth!r}, expected one of {', '.join(sorted(known))}; name one "
                "of these, or trace it",
                argument="growth",
            )
    largest = max(starts.largest_budget(name) for name in drafters)
    for budget in choice.node_budgets:
        if not 1 <= budget <= largest:
            raise InvalidInput(
                f"got node budget {budget}, expected one from 1 to {largest}, the largest that was traced; "
                "give a smaller one, or trace with a larger one",
                argument="node_budget",
            )
