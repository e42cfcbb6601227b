"""`speclight bound`: what two moments of a target say about the tokens of one call."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.options import JsonFlag
from speclight.cli.output import command_output
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.theory.bounds import Bound

READING = {"upper": "at most", "lower": "at least", "asymptotic": "about, for large P"}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BoundOptions:
    """Options of `speclight bound`."""

    mu: float
    """Mean entropy of the target's next-token law, nats per token."""
    mu2: float
    """Mean of sum p (ln p)^2 over the same contexts, nats^2; at least mu^2."""
    budget: str
    """Node budget P: positions scored in one target call, root included; or several, as 8,16,60."""
    json: JsonFlag = False


def bound(options: BoundOptions) -> None:
    """Bounds on the expected tokens of one target call, from two moments of the target.

    All of them model contexts as i.i.d.; for a real model they are no guarantee, whatever their side. With
    several budgets the line of JSON is an array with one object for each.
    """
    from speclight.theory.catalogue import bounds_from_moments

    found = [
        (budget, bounds_from_moments(options.mu, options.mu2, budget))
        for budget in parse_budgets(options.budget)
    ]
    with command_output(options.json) as output:
        if options.json:
            documents = [_document(budget, statements) for budget, statements in found]
            output.write_json(documents[0] if len(documents) == 1 else documents)
        else:
            # Each assumption is spelled out once, below the tables that refer to it by a letter.
            every = [
                assumption for _, statements in found for s in statements for assumption in s.assumptions
            ]
            assumptions = tuple(dict.fromkeys(every))
            output.show(*(_table(budget, statements, assumptions) for budget, statements in found))
            output.show(*(f"{_letter(assumptions, sentence)}  {sentence}" for sentence in assumptions))


def parse_budgets(text: str) -> tuple[int, ...]:
    """The node budgets in `8` or `8,16,60`. Raises InvalidInput for anything but integers of at least 1."""
    try:
        budgets = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(
            f"--budget needs an integer or several between commas, got {text!r}; write --budget 60 or "
            "--budget 8,16,60"
        ) from error
    if min(budgets) < 1:
        raise InvalidInput(
            f"--budget counts the positions scored in one target call, the root included, so it must be at "
            f"least 1, got {min(budgets)}; 1 is plain decoding"
        )
    return budgets


def _document(budget: int, statements: tuple[Bound, ...]) -> dict[str, object]:
    return {
        "budget": budget,
        "bounds": [
            {
                "name": statement.name,
                "value": statement.value,
                "side": statement.side,
                "assumptions": list(statement.assumptions),
                "source": statement.source,
            }
            for statement in statements
        ],
    }


def _table(budget: int, statements: tuple[Bound, ...], assumptions: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=f"Expected tokens of one target call at P = {budget}", title_justify="left")
    table.add_column("statement", no_wrap=True)
    table.add_column("reading", no_wrap=True)
    table.add_column("tokens per call", justify="right")
    table.add_column("assumes", no_wrap=True)
    table.add_column("source")
    for statement in statements:
        table.add_row(
            statement.name,
            READING[statement.side],
            f"{statement.value:.4f}",
            " ".join(sorted(_letter(assumptions, assumption) for assumption in statement.assumptions)),
            statement.source,
        )
    return table


def _letter(assumptions: tuple[str, ...], assumption: str) -> str:
    return ascii_lowercase[assumptions.index(assumption)]
