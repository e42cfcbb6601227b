"""What `speclight bound` shows: one table per node budget, assumptions spelled out once, and the JSON."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.cli.output import Output
    from speclight.measure.drafter_limits import DrafterLimits
    from speclight.theory.bound import Bound
    from speclight.theory.trace_bounds import MeasuredBound

READING = {"upper": "at most", "lower": "at least", "asymptotic": "about, for large P"}


@dataclass(frozen=True, slots=True)
class BudgetBounds:
    """Everything known at one node budget. drafter: measured, and Lemma 7 with it, if there is a record."""

    budget: int
    bounds: tuple[MeasuredBound, ...]
    drafter: DrafterLimits | None = None

    @property
    def statements(self) -> list[Bound]:
        """The bounds without their sampling errors."""
        return [item.bound for item in self.bounds]


@dataclass(frozen=True, slots=True)
class FamilyBounds:
    """One family of a profile at every budget asked for; the family is blank for two moments."""

    family: str
    budgets: tuple[BudgetBounds, ...]


def document_of(
    families: list[FamilyBounds], about: dict[str, object] | None
) -> dict[str, object] | list[dict[str, object]]:
    """The JSON document: of a profile, described by `about`, or of two moments (about is None)."""
    if about is not None:
        return {
            **about,
            "families": {family.family: [_document(item) for item in family.budgets] for family in families},
        }
    documents = [_document(item) for item in families[0].budgets]
    return documents[0] if len(documents) == 1 else documents


def show_bounds(output: Output, families: list[FamilyBounds]) -> None:
    """Tables for people; assumptions are spelled out once, below the tables that name them by a letter."""
    every = [
        assumption
        for family in families
        for item in family.budgets
        for bound in item.statements
        for assumption in bound.assumptions
    ]
    assumptions = tuple(dict.fromkeys(every))
    for family in families:
        for item in family.budgets:
            output.show(_table(family.family, item, assumptions), *_drafter_lines(item), *_best_lines(item))
    output.show("", *(f"{_letter(assumptions, sentence)}  {sentence}" for sentence in assumptions))


def _document(item: BudgetBounds) -> dict[str, object]:
    from speclight.theory.trace_bounds import best_for_a_real_model, best_if_contexts_were_iid

    def named(bound: Bound) -> dict[str, object]:
        return {"name": bound.name, "value": bound.value}

    document: dict[str, object] = {
        "node_budget": item.budget,
        "bounds": [bound_document(measured) for measured in item.bounds],
        "best_upper": {
            "real_model": named(best_for_a_real_model(item.statements)),
            "iid_contexts": named(best_if_contexts_were_iid(item.statements)),
        },
    }
    if item.drafter is not None:
        measured = item.drafter.measured
        document["drafter_tokens_per_call"] = {
            "value": measured.value,
            "standard_error": measured.standard_error,
            "low": measured.low,
            "high": measured.high,
        }
    return document


def bound_document(measured: MeasuredBound) -> dict[str, object]:
    """One bound as JSON."""
    bound = measured.bound
    document: dict[str, object] = {
        "name": bound.name,
        "value": bound.value,
        "side": bound.side,
        "assumptions": list(bound.assumptions),
        "source": bound.source,
    }
    if measured.standard_error is not None:
        document["standard_error"] = measured.standard_error
    if measured.interval is not None:
        interval = measured.interval
        document["interval"] = {"low": interval.lower, "high": interval.upper, "level": interval.level}
    return document


def interval_of(measured: MeasuredBound) -> str:
    """` [low, high]`, or nothing."""
    interval = measured.interval
    return "" if interval is None else f" [{interval.lower:.2f}, {interval.upper:.2f}]"


def _drafter_lines(item: BudgetBounds) -> list[str]:
    if item.drafter is None:
        return []
    measured = item.drafter.measured
    spread = "" if measured.high is None else f" \N{PLUS-MINUS SIGN} {measured.high - measured.value:.2f}"
    return [
        f"the drafter's best-first trees of {item.budget} nodes, at starts of its own record: "
        f"{measured.value:.3f}{spread} tokens per call"
    ]


def _best_lines(item: BudgetBounds) -> list[str]:
    from speclight.theory.trace_bounds import best_for_a_real_model, best_if_contexts_were_iid

    real, iid = best_for_a_real_model(item.statements), best_if_contexts_were_iid(item.statements)
    return [
        f"best_upper for a real model: {real.name}, {real.value:.4f}; "
        f"if contexts were i.i.d.: {iid.name}, {iid.value:.4f}",
        "",
    ]


def _table(family: str, item: BudgetBounds, assumptions: tuple[str, ...]) -> Table:
    from rich.table import Table

    of_family = f"{family}: expected" if family else "Expected"
    table = Table(title=f"{of_family} tokens of one target call at P = {item.budget}", title_justify="left")
    table.add_column("statement", no_wrap=True)
    table.add_column("reading", no_wrap=True)
    table.add_column("tokens per call", justify="right", no_wrap=True)
    table.add_column("assumes", no_wrap=True)
    table.add_column("source")
    for measured in item.bounds:
        bound = measured.bound
        error = (
            "" if measured.standard_error is None else f" \N{PLUS-MINUS SIGN} {measured.standard_error:.2g}"
        )
        table.add_row(
            bound.name,
            READING[bound.side],
            f"{bound.value:.4f}{error}{interval_of(measured)}",
            " ".join(sorted(_letter(assumptions, assumption) for assumption in bound.assumptions)),
            bound.source,
        )
    return table


def _letter(assumptions: tuple[str, ...], assumption: str) -> str:
    return ascii_lowercase[assumptions.index(assumption)]
