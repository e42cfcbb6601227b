"""`speclight score`: every configuration that a trace can judge, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.checks import whole_number
from speclight.cli.options import JsonFlag, check_budgets, check_picture, check_writable
from speclight.cli.output import command_output
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.advice.score import Score
    from speclight.measure.trace.record import Trace
    from speclight.measure.trace.traced import TracedStart


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """Options of `speclight score`."""

    drafter: tuple[str, ...] = ()
    """Only these drafters of the trace, by the names it gives them; all if not given."""
    growth: tuple[str, ...] = ()
    """Only these ways to grow a tree, as the trace lists them; all if not given."""
    node_budgets: tuple[int, ...] = ()
    """Node budgets P, as 8,16,64; every P from 2 to the largest that was traced if not given."""
    families: tuple[str, ...] = ()
    """Only starts in texts of these families; all if not given."""
    top: int = 20
    """How many configurations the table shows, the most tokens per call first."""
    all: Annotated[bool, Parameter(negative="")] = False
    """Show all of them."""
    out: Path | None = None
    """Also write all of them to this file, as Parquet."""
    plot: Path | None = None
    """Also draw tokens per call over the nodes of a target call, as .png or .svg."""
    latency: Path | None = None
    """Folder of call times: draw over the seconds of a call, drafting included."""
    json: JsonFlag = False


def score(trace: Path, /, *, options: ScoreOptions = ScoreOptions()) -> None:
    """Score every drafter, tree and node budget of a trace: expected tokens per call, and what they cost.

    No model is run. Expectations given a context are exact, so intervals are about texts alone. Starts are
    weighted as a decode of that very configuration would meet them; where the trace cannot tell, they are
    uniform positions, and marked so.

        speclight score out/trace --budget 8,16,32 --plot frontier.svg

    Args:
        trace: Folder of a trace.
        options: See ScoreOptions.
    """
    _check(options)

    from speclight.measure.trace.record import read_trace

    read = read_trace(trace)  # before what takes long to import: a wrong folder is told at once

    from speclight.advice.configuration import deterministic_rule
    from speclight.advice.score import score as score_starts
    from speclight.advice.traced_calls import Choice
    from speclight.report.scores import score_row, write_scores

    with command_output(options.json) as output:
        rule = deterministic_rule(read.sampling.temperature)
        choice = Choice(options.drafter, options.growth, options.node_budgets)
        scores = score_starts(_starts(read, options.families), rule, choice)
        shown = scores if options.all else scores[: options.top]
        written = [] if options.out is None else [write_scores(scores, options.out)]
        written += [] if options.plot is None else [_drawn(read, scores, options.plot, options.latency)]
        left = f"{len(shown)} of {len(scores)} configurations; --all shows all of them"
        files = [f"written: {file.as_posix()}" for file in written]
        output.show(_table(shown), *([left] if len(shown) < len(scores) else []), *files)
        if options.json:
            output.write_json(
                {
                    "target": read.target,
                    "temperature": read.sampling.temperature,
                    "families": options.families or read.families,
                    "scores": [score_row(found) for found in scores],
                }
            )


def _check(options: ScoreOptions) -> None:
    whole_number("top", options.top)
    if options.node_budgets:
        check_budgets(options.node_budgets)
    if options.out is not None:
        check_writable(options.out.parent)
    if options.plot is not None:
        check_picture("--plot", options.plot)


def _drawn(trace: Trace, scores: Sequence[Score], path: Path, latency: Path | None) -> Path:
    from speclight.report.scores import draw_frontier

    if latency is None:
        return draw_frontier(scores, path)

    from speclight.advice.machine import prices_of
    from speclight.measure.latency.record import read_latency

    times = read_latency(latency)
    prices = prices_of(trace, times, times.curve.batch_size)
    priced = [found for found in scores if prices.can_price_mean(found)]
    return draw_frontier(priced, path, prices.mean_seconds, "seconds of a call, drafting included")


def _starts(trace: Trace, families: Sequence[str]) -> Sequence[TracedStart]:
    for family in families:
        if family not in trace.families:
            raise InvalidInput(
                f"the trace holds no family {family!r}, expected one of {', '.join(trace.families)}",
                argument="families",
            )
    return [start for start in trace.starts if not families or start.family in families]


def _table(scores: Sequence[Score]) -> Table:
    from rich.table import Table

    from speclight.report.number_format import NOT_MEASURED, percent, significant, told_interval

    table = Table(title="Tokens per call of each configuration, at the call starts of its own decode")
    table.title_justify = "left"
    for head in ("drafter", "tree", "rule"):
        table.add_column(head, no_wrap=True)
    numbers = ("P", "tokens per call", "95%", "uniform", "of best tree", "nodes", "draft calls", "coupling")
    for head in numbers:
        table.add_column(head, justify="right")
    for found in scores:
        configuration, tokens = found.configuration, found.tokens_per_call
        mark = "" if found.decode is not None else " (uniform)"
        table.add_row(
            configuration.drafter,
            configuration.growth,
            configuration.rule,
            str(configuration.node_budget),
            f"{tokens.value:.3f}{mark}",
            told_interval(tokens) or NOT_MEASURED,
            f"{found.uniform.value:.3f}",
            percent(found.share.value),
            significant(found.nodes),
            significant(found.draft_calls),
            significant(found.coupling),
        )
    return table
