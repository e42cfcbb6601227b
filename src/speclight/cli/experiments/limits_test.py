"""`speclight experiment limits-test`: every limit against the oracle, on the reader's own question files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, check_target, check_writable, load_target
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput
from speclight.experiments.limits.settings import LimitsTestSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.experiments.limits.run import LimitsTest


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsTestOptions:
    """Options of `speclight experiment limits-test`."""

    questions: tuple[Path, ...]
    """Question files (JSON lines), or folders of them; each file is a family."""
    out: Path = Path("out/limits-test")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: LimitsTestSettings = field(default_factory=LimitsTestSettings)
    feature: Literal["entropy", "recent", "both"] = "entropy"
    """What sorts starts into strata: entropy there, mean of the last 16 surprisals, or both crossed."""
    strata: int = 4
    """Strata, chosen on the shipped prompts."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def limits_test(options: LimitsTestOptions) -> None:
    """Compare every limit, from traces of some prompts, with the oracle at contexts of other prompts.

    The traces are what an API gives: sampled log-probabilities. The oracle searches the best tree with the
    target itself. Both average over uniform positions; the trace walk is compared with an oracle decode.

        speclight experiment limits-test --questions questions.jsonl --budget 16,60
    """
    check_target(options.target)
    check_writable(options.out)

    from speclight.experiments.limits.data import read_families
    from speclight.experiments.limits.run import run_limits_test
    from speclight.report.limits import draw, markdown
    from speclight.writing import write_whole

    families = read_families(_question_files(options.questions), options.settings.trace_prompts)
    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            result = run_limits_test(
                target, families, options.settings, options.feature, options.strata, options.out, progress
            )
        tables = options.out / "tables.md"
        write_whole(tables, (markdown(result) + "\n").encode())
        figure = draw(result, options.out / "predicted-over-measured.svg")
        if options.json:
            output.write_json({**asdict(result), "folder": options.out})
        else:
            output.show(*_tables(result), f"records: {options.out}, tables: {tables}, figure: {figure}")


def _question_files(given: tuple[Path, ...]) -> tuple[Path, ...]:
    files: list[Path] = []
    for path in given:
        inside = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise InvalidInput(f"{path} holds no .jsonl file; give question files or a folder of them")
        files += inside
    return tuple(files)


def _tables(result: LimitsTest) -> list[Table]:
    from rich.table import Table

    cells = Table(
        title=f"Predicted over measured tokens per call ({result.target}); strata by {result.feature}",
        title_justify="left",
    )
    for heading in ("family", "T", "method"):
        cells.add_column(heading, no_wrap=True)
    budgets = sorted({item.node_budget for item in result.comparisons})
    for budget in budgets:
        cells.add_column(f"P = {budget}", justify="right", no_wrap=True)
    rows = list(dict.fromkeys((c.family, c.temperature, c.method) for c in result.comparisons))
    values = {(c.family, c.temperature, c.method, c.node_budget): c for c in result.comparisons}
    for row in rows:
        found = [values.get((*row, budget)) for budget in budgets]
        shown = ["" if c is None else f"{c.ratio:.2f} \N{PLUS-MINUS SIGN} {c.ratio_error:.2f}" for c in found]
        cells.add_row(row[0], str(row[1]), row[2], *shown)
    pooled = Table(title="Mean signed error over the cells, P >= 16", title_justify="left")
    for heading in ("method", "P", "error", "cells", "within 2 SE"):
        pooled.add_column(heading, no_wrap=True)
    for item in result.pooled:
        pooled.add_row(
            item.method,
            ", ".join(map(str, item.node_budgets)),
            f"{100 * item.signed_error:+.1f}% \N{PLUS-MINUS SIGN} {100 * item.standard_error:.1f}%",
            str(item.cells),
            f"{item.within_two_errors} of {item.comparisons}",
        )
    return [cells, pooled]
