"""What `speclight bound` shows: one table per node budget, assumptions spelled out once, and the JSON."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.cli.output import Output
    from speclight.measure.estimates import Estimate
    from speclight.theory.bound import Bound
    from speclight.theory.ergodic.certificates import LowerEstimate
    from speclight.theory.ergodic.least_cost import UpperEstimate
    from speclight.theory.log_prob_limits import Limits

READING = {"upper": "at most", "lower": "at least", "asymptotic": "about, for large P"}


@dataclass(frozen=True, slots=True)
class BudgetBounds:
    """Everything known at one node budget.

    drafter: tokens per call of its trees, if there is a record. decodes: limits of whole decodes, if there
    are texts.
    """

    budget: int
    bounds: tuple[Bound, ...]
    drafter: Estimate | None = None
    decodes: Limits | None = None


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
    """The answer in a line, then tables; assumptions are spelled out once, below, and named by a letter."""
    output.show(*(answer(family) for family in families), "")
    every = [
        assumption
        for family in families
        for item in family.budgets
        for bound in item.bounds
        for assumption in bound.assumptions
    ]
    assumptions = tuple(dict.fromkeys(every))
    for family in families:
        for item in family.budgets:
            output.show(
                *_decode_lines(family.family, item),
                _table(family.family, item, assumptions),
                *_drafter_lines(item),
                *_best_lines(item),
            )
    output.show("", *(f"{_letter(assumptions, sentence)}  {sentence}" for sentence in assumptions))


def answer(family: FamilyBounds) -> str:
    """What the bounds of a family come to at its largest node budget, in one line."""
    from speclight.theory.bound import best_for_a_real_model, best_if_contexts_were_iid

    item = max(family.budgets, key=lambda each: each.budget)
    if item.decodes is not None:
        return _interval_line(family.family, item.budget, item.decodes)
    real, iid = best_for_a_real_model(item.bounds), best_if_contexts_were_iid(item.bounds)
    start = f"{family.family}: at" if family.family else "At"
    model = f"if contexts were independent ({iid.name})"
    if real.name == "trivial":
        return (
            f"{start} P = {item.budget} at most {iid.value:.2f} tokens per call {model}; "
            "for a real model nothing below P follows."
        )
    error = "" if real.standard_error is None else f" \N{PLUS-MINUS SIGN} {real.standard_error:.2g}"
    return (
        f"{start} P = {item.budget} at most {real.value:.2f}{error} tokens per call ({real.name}); "
        f"{iid.value:.2f} {model}."
    )


def _document(item: BudgetBounds) -> dict[str, object]:
    from speclight.theory.bound import best_for_a_real_model, best_if_contexts_were_iid

    def named(bound: Bound) -> dict[str, object]:
        return {"name": bound.name, "value": bound.value}

    document: dict[str, object] = {
        "node_budget": item.budget,
        **({} if item.decodes is None else {"decodes": _decode_document(item.decodes)}),
        "bounds": [bound_document(bound) for bound in item.bounds],
        "best_upper": {
            "real_model": named(best_for_a_real_model(item.bounds)),
            "iid_contexts": named(best_if_contexts_were_iid(item.bounds)),
        },
    }
    if item.drafter is not None:
        measured = item.drafter
        document["drafter_tokens_per_call"] = {
            "value": measured.value,
            "standard_error": measured.standard_error,
            "low": measured.low,
            "high": measured.high,
        }
    return document


def _decode_document(limits: Limits) -> dict[str, object]:
    """Tokens per call of whole decodes; of a single prompt there are no errors and no limits."""
    from math import isnan

    def number(value: float) -> float | None:
        return None if isnan(value) else value

    def upper(estimate: UpperEstimate) -> dict[str, object]:
        return {
            "value": estimate.value,
            "standard_error": number(estimate.standard_error),
            "upper_limit": number(estimate.upper),
        }

    def lower(estimate: LowerEstimate) -> dict[str, object]:
        return {
            "value": estimate.value,
            "standard_error": number(estimate.standard_error),
            "lower_limit": number(estimate.lower),
        }

    walk, ratio, leaf, chains = limits.walk, limits.over_walk, limits.leaf_entropy, limits.chains
    return {
        "level": limits.certified.level,
        "certified": lower(limits.certified),
        "decode_bound": upper(limits.decode.going_on),
        "decode_bound_held": upper(limits.decode.held),
        "trace_walk": None
        if walk is None
        else {"value": walk.tokens_per_call, "standard_error": number(walk.standard_error)},
        "decode_bound_over_walk": None
        if ratio is None
        else {"value": ratio.value, "standard_error": number(ratio.standard_error)},
        "chains": None
        if chains is None
        else {
            "certified": lower(chains.certified),
            "chain_bound": upper(chains.none_exceeds),
            "endless_chains": None if chains.endless is None else upper(chains.endless),
        },
        "entropy_rate": upper(limits.entropy_rate),
        "leaf_entropy": None if leaf is None else upper(leaf),
    }


def _interval_line(family: str, budget: int, limits: Limits) -> str:
    of_family = f"{family}: the" if family else "The"
    return (
        f"{of_family} limit of a decode at P = {budget} lies between {limits.certified.value:.3f} and "
        f"{limits.decode.going_on.value:.3f} tokens per call"
    )


def _decode_lines(family: str, item: BudgetBounds) -> list[str]:
    """The interval for whole decodes, with confidence limits outwards, and what lies between."""
    limits = item.decodes
    if limits is None:
        return []
    certified, bound, held = limits.certified, limits.decode.going_on, limits.decode.held
    lines = [
        _interval_line(family, item.budget, limits),
        f"  certified from below: {certified.value:.3f} ({certified.level:.0%} limit {certified.lower:.3f}); "
        f"no decode exceeds {bound.value:.3f} ({bound.level:.0%} limit {bound.upper:.3f})",
        f"  held to the length limit of these texts: {held.value:.3f} ({held.level:.0%} limit "
        f"{held.upper:.3f})",
    ]
    if limits.walk is not None:
        walk = limits.walk
        lines.append(
            f"  estimate, trees that hold P nodes on average: {walk.tokens_per_call:.3f} "
            f"\N{PLUS-MINUS SIGN} {walk.standard_error:.2g}"
        )
    if limits.over_walk is not None:
        ratio = limits.over_walk
        lines.append(
            f"  the bound over that estimate, the same texts held to their limit: {ratio.value:.3f} "
            f"\N{PLUS-MINUS SIGN} {ratio.standard_error:.2g}"
        )
    if limits.chains is not None:
        chains = limits.chains
        lines.append(
            f"  drafts without branches (chains of {chains.drafted}): between {chains.certified.value:.3f} "
            f"and {chains.upper.value:.3f} ({chains.upper.level:.0%} limits {chains.certified.lower:.3f} and "
            f"{chains.upper.upper:.3f})"
        )
    return [*lines, "", "E[X] of one call at uniform positions, another quantity:"]


def bound_document(bound: Bound) -> dict[str, object]:
    """One bound as JSON."""
    document: dict[str, object] = {
        "name": bound.name,
        "value": bound.value,
        "side": bound.side,
        "assumptions": list(bound.assumptions),
        "source": bound.source,
    }
    if bound.standard_error is not None:
        document["standard_error"] = bound.standard_error
    if bound.interval is not None:
        interval = bound.interval
        document["interval"] = {"low": interval.lower, "high": interval.upper, "level": interval.level}
    return document


def interval_of(bound: Bound) -> str:
    """` [low, high]`, or nothing."""
    interval = bound.interval
    return "" if interval is None else f" [{interval.lower:.2f}, {interval.upper:.2f}]"


def _drafter_lines(item: BudgetBounds) -> list[str]:
    if item.drafter is None:
        return []
    measured = item.drafter
    spread = "" if measured.high is None else f" \N{PLUS-MINUS SIGN} {measured.high - measured.value:.2f}"
    return [
        f"the drafter's best-first trees of {item.budget} nodes, at starts of its own record: "
        f"{measured.value:.3f}{spread} tokens per call"
    ]


def _best_lines(item: BudgetBounds) -> list[str]:
    from speclight.theory.bound import best_for_a_real_model, best_if_contexts_were_iid

    real, iid = best_for_a_real_model(item.bounds), best_if_contexts_were_iid(item.bounds)
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
    for bound in item.bounds:
        error = "" if bound.standard_error is None else f" \N{PLUS-MINUS SIGN} {bound.standard_error:.2g}"
        table.add_row(
            bound.name,
            READING[bound.side],
            f"{bound.value:.4f}{error}{interval_of(bound)}",
            " ".join(sorted(_letter(assumptions, assumption) for assumption in bound.assumptions)),
            bound.source,
        )
    return table


def _letter(assumptions: tuple[str, ...], assumption: str) -> str:
    return ascii_lowercase[assumptions.index(assumption)]
