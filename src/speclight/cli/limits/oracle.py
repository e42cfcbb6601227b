"""`speclight oracle`: the true limit at real contexts of a profiled target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, load_target, parse_budgets
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.measure.oracle_run import OracleRecord


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class OracleOptions:
    """Options of `speclight oracle`."""

    profile: Path = Path("out/profile")
    """Folder of a profile: its texts give the contexts, its settings the law that is searched."""
    out: Path = Path("out/oracle")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    contexts: int = 40
    """Contexts searched per family, spread evenly over all usable positions."""
    budget: str = "1,2,4,8,16,32,64"
    """Node budgets P to show; the search is made once, at the largest."""
    seed: int = 0
    """Seed of the choice of contexts."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def oracle(options: OracleOptions = OracleOptions()) -> None:
    """Search the best draft tree under the target itself, at contexts of its own text.

    The value is the largest possible mean of tokens per call over those contexts: exact at each, no
    assumption. The target must be the one that was profiled.

        speclight oracle --profile out/profile --contexts 40 --budget 8,16,64
    """
    from speclight.measure.oracle_run import OracleSettings, run_oracle
    from speclight.measure.profile import read_profile

    budgets = parse_budgets(options.budget)
    settings = OracleSettings(options.contexts, max(budgets), options.seed)
    measured = read_profile(options.profile)
    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            record = run_oracle(target, measured, settings, options.out, progress)
        if options.json:
            output.write_json(
                {
                    "target": target.name,
                    "temperature": record.sampling.temperature,
                    "folder": options.out,
                    "families": {family: _document(record, family, budgets) for family in measured.families},
                }
            )
        else:
            output.show(_table(record, measured.families, budgets), f"records: {options.out}")


def _document(record: OracleRecord, family: str, budgets: tuple[int, ...]) -> dict[str, object]:
    rows = record.of_family(family)
    values: list[dict[str, object]] = []
    for budget in budgets:
        estimate = record.tokens_per_call(family, budget)
        values.append(
            {
                "node_budget": budget,
                "tokens_per_call": estimate.value,
                "standard_error": estimate.standard_error,
                "low": estimate.low,
                "high": estimate.high,
            }
        )
    return {
        "contexts": len(rows),
        "start_law": "uniform positions",
        "search_calls_mean": sum(row.calls for row in rows) / len(rows),
        "limits": values,
    }


def _table(record: OracleRecord, families: tuple[str, ...], budgets: tuple[int, ...]) -> Table:
    from rich.table import Table

    table = Table(title="True limit: best possible tokens per call (95% half-width)", title_justify="left")
    table.add_column("family", no_wrap=True)
    table.add_column("contexts", justify="right")
    for budget in budgets:
        table.add_column(f"P = {budget}", justify="right")
    for family in families:
        cells: list[str] = []
        for budget in budgets:
            estimate = record.tokens_per_call(family, budget)
            spread = "" if estimate.high is None else f" ± {estimate.high - estimate.value:.2f}"
            cells.append(f"{estimate.value:.2f}{spread}")
        table.add_row(family, str(len(record.of_family(family))), *cells)
    return table
