"""`speclight oracle`: the true limit at real contexts of a profiled target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.engines.options import EngineOptions, check_server, engine_client
from speclight.cli.flags import without
from speclight.cli.options import (
    JsonFlag,
    TargetOptions,
    check_run,
    load_target,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.measure.oracle_settings import OracleSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.measure.estimates import Estimate
    from speclight.measure.profile import Profile
    from speclight.measure.trace.record import Trace


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class OracleOptions:
    """Options of `speclight oracle`."""

    profile: Path = Path("out/profile")
    """Folder of a profile: its texts give the contexts, its settings the law that is searched."""
    out: Path = Path("out/oracle")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: Annotated[OracleSettings, without("node_budget")] = field(default_factory=OracleSettings)
    node_budgets: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Node budgets P to show, as 8,16,64; the search is made once, at the largest."""
    top: int = 20
    """Likeliest tokens asked for per node, where a server is searched; at P - 1 the search is exact."""
    server: EngineOptions = field(default_factory=EngineOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def oracle(options: OracleOptions = OracleOptions()) -> None:
    """Search the best draft tree under the target itself, at contexts of its own text.

    The value is the largest possible mean of tokens per call over those contexts: exact at each, no
    assumption. The target must be the one that was profiled.

        speclight oracle --profile out/profile --contexts 40 --budget 8,16,64

    With --engine the profile is one of an inference server, which is asked for one token after every node.
    Where it does not show enough likeliest tokens, the limit is given as an interval.

        speclight oracle --engine http://127.0.0.1:8000 --profile out/served --budget 8,16
    """
    budgets = options.node_budgets
    measured = _checked(options)

    from speclight.measure.oracle_run import run_oracle

    settings = replace(options.settings, node_budget=max(budgets))
    upper = None
    with command_output(options.json) as output:
        if options.server.engine is None:
            target = load_target(options.target)
            with progress_bars() as progress:
                record = run_oracle(target, measured, settings, options.out, progress)
            name = target.name
        else:
            name, record, upper = _by_engine(options, settings, measured)
        if options.json:
            output.write_json(
                {
                    "target": name,
                    "temperature": record.sampling.temperature,
                    "folder": options.out,
                    "families": {
                        family: _document(record, family, budgets, upper) for family in measured.families
                    },
                }
            )
        else:
            output.show(_table(record, measured.families, budgets, upper), f"records: {options.out}")


def _checked(options: OracleOptions) -> Profile:
    """The profile asked for, read before anything heavy is imported. Raises for all that can be wrong."""
    check_run(options.target, options.out, node_budgets=options.node_budgets)
    check_server(options.server)

    from speclight.measure.profile import read_profile

    return read_profile(options.profile)


Upper = Callable[[str, int], "Estimate"]


def _by_engine(
    options: OracleOptions, settings: OracleSettings, measured: Profile
) -> tuple[str, Trace, Upper]:
    with engine_client(options.server) as client, progress_bars() as progress:
        from functools import partial

        from speclight.engines.oracle_run import most_possible, run_engine_oracle

        found = run_engine_oracle(client, measured, settings, options.top, options.out, progress)
        return f"{client.model} on {client.dialect.name}", found, partial(most_possible, found)


def _document(record: Trace, family: str, budgets: tuple[int, ...], upper: Upper | None) -> dict[str, object]:
    calls = [start.search_calls or 0 for start in record.of_family(family)]
    values: list[dict[str, object]] = []
    for budget in budgets:
        estimate = record.limit_tokens_per_call(family, budget)
        values.append(
            {
                "node_budget": budget,
                "tokens_per_call": estimate.value,
                "tokens_per_call_at_most": estimate.value if upper is None else upper(family, budget).value,
                "standard_error": estimate.standard_error,
                "low": estimate.low,
                "high": estimate.high,
            }
        )
    return {
        "contexts": len(calls),
        "start_law": "uniform positions",
        "search_calls_mean": sum(calls) / len(calls),
        "limits": values,
    }


def _table(record: Trace, families: tuple[str, ...], budgets: tuple[int, ...], upper: Upper | None) -> Table:
    from rich.table import Table

    table = Table(title="True limit: best possible tokens per call (95% half-width)", title_justify="left")
    table.add_column("family", no_wrap=True)
    table.add_column("contexts", justify="right")
    for budget in budgets:
        table.add_column(f"P = {budget}", justify="right")
    for family in families:
        cells: list[str] = []
        for budget in budgets:
            estimate = record.limit_tokens_per_call(family, budget)
            spread = "" if estimate.high is None else f" ± {estimate.high - estimate.value:.2f}"
            most = estimate.value if upper is None else upper(family, budget).value
            value = f"{estimate.value:.2f}"
            value = value if f"{most:.2f}" == value else f"{value} to {most:.2f}"
            cells.append(f"{value}{spread}")
        table.add_row(family, str(len(record.of_family(family))), *cells)
    return table
