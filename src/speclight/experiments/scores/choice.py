"""Which configurations of a trace are decoded: those that draft alike count once, the rest are spread evenly.

At few nodes many growths draft the very same trees, so that configurations of many names decode the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from speclight.advice.configuration import Configuration, deterministic_rule
from speclight.advice.growth_values import drafted_nodes
from speclight.advice.ordered_trees import ordered_trees
from speclight.advice.start_set import StartSet
from speclight.advice.traced_calls import Choice, TracedCalls, traced_calls
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput

CHAIN = "chain"
CHAINS_ONLY = frozenset({"block"})


@dataclass(frozen=True, slots=True, eq=False)
class DistinctDraft:
    """What one drafter drafts at one node budget along a trace.

    calls, place: where its score is, the place being that of the budget. growths: all that draft these very
    trees at every start, as the trace lists them.
    """

    calls: TracedCalls
    place: int
    growths: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChosenConfiguration:
    """A configuration to decode, and the draft that it makes."""

    configuration: Configuration
    draft: DistinctDraft

    @property
    def alike(self) -> tuple[str, ...]:
        """The other growths that draft the same."""
        return tuple(growth for growth in self.draft.growths if growth != self.configuration.growth)


def chosen_configurations(
    starts: StartSet, temperature: float, rules: Sequence[str], node_budgets: Sequence[int], count: int
) -> tuple[ChosenConfiguration, ...]:
    """So many, spread evenly over drafters, node budgets, rules and growths; all where there are fewer.

    rules: lossless ones for deterministic trees; the trace's own if there are none. At temperature 0 all of
    them emit the likeliest tokens, so each draft is taken once; above, once with each rule. Raises
    InvalidInput for a trace without starts that follow each other, which tells nothing of decodes.
    """
    drafts = distinct_drafts(starts, deterministic_rule(temperature), node_budgets)
    if not drafts:
        raise InvalidInput(
            "the trace holds no configuration whose decode it can predict, expected runs of neighbouring "
            "starts; trace with a window above 1"
        )
    left = [
        ChosenConfiguration(configuration, draft)
        for draft in drafts
        for configuration in _configurations(draft, rules or (draft.calls.rule,))
    ]
    chosen: list[ChosenConfiguration] = []
    uses: Counter[tuple[object, ...]] = Counter()
    while left and len(chosen) < count:
        # The first of those of whose parts, and pairs of parts, fewest were chosen before.
        new = min(left, key=lambda each: sum(uses[part] for part in _parts(each.configuration)))
        uses.update(_parts(new.configuration))
        chosen.append(new)
        left = [
            each for each in left if each is not new and (temperature > 0.0 or each.draft is not new.draft)
        ]
    return tuple(sorted(chosen, key=lambda each: drafts.index(each.draft)))


def distinct_drafts(starts: StartSet, rule: str, node_budgets: Sequence[int]) -> tuple[DistinctDraft, ...]:
    """The drafts of a trace's deterministic trees, growths that draft alike merged; see `traced_calls`."""
    trees = {drafter: ordered_trees(starts.starts, drafter) for drafter in starts.growths}
    found: dict[tuple[str, int, bytes], DistinctDraft] = {}
    for calls in traced_calls(starts, rule, Choice(node_budgets=tuple(node_budgets))):
        if calls.visits is None:
            continue
        largest = starts.growths[calls.drafter][calls.growth][-1]
        growth = read_tree(calls.growth, "deterministic")
        drafted = drafted_nodes(trees[calls.drafter], growth, calls.node_budgets, largest)
        for place, budget in enumerate(calls.node_budgets):
            key = calls.drafter, budget, drafted[place].tobytes()
            before = found.get(key, DistinctDraft(calls, place, ()))
            found[key] = DistinctDraft(before.calls, before.place, (*before.growths, calls.growth))
    return tuple(found.values())


def _configurations(draft: DistinctDraft, rules: Sequence[str]) -> Iterator[Configuration]:
    """The draft with each rule that verifies such trees."""
    calls = draft.calls
    for rule in rules:
        growth = CHAIN if rule in CHAINS_ONLY else calls.growth
        if growth in draft.growths:
            yield Configuration(calls.drafter, growth, rule, calls.node_budgets[draft.place])


def _parts(told: Configuration) -> Iterator[tuple[object, ...]]:
    """What is to be covered evenly: its drafter, budget, rule and growth, and every two of them."""
    each = (("drafter", told.drafter), ("P", told.node_budget), ("rule", told.rule), ("growth", told.growth))
    yield from combinations(each, 1)
    yield from combinations(each, 2)
