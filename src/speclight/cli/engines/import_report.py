"""`speclight import`: what engines write about their speculation, in one form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.engines.options import check_installed
from speclight.cli.options import JsonFlag
from speclight.cli.output import command_output
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.engines.reports.record import SpeculationReport


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """Options of `speclight import`."""

    before: Path | None = None
    """An earlier scrape of the same server's /metrics: the difference is read."""
    json: JsonFlag = False


def import_report(file: Path, /, options: ImportOptions = ImportOptions()) -> None:
    """Read an engine's metrics, log, answers or bench results, and say what they mean in one set of words.

    Reads vLLM, SGLang, llama.cpp and TensorRT-LLM: scrapes of /metrics, log lines, answers with per-request
    metrics, bench JSON; EAGLE and Spec-Bench answer files; tables of expected acceptance lengths (YAML).

        speclight import after.prom --before before.prom
    """
    for path in (file, *([] if options.before is None else [options.before])):
        if not path.exists():
            raise InvalidInput(f"cannot read {path}, expected a text file; there is no such file")
    check_installed()
    from speclight.engines.reports.read import read_report

    with command_output(options.json) as output:
        reports = read_report(file, options.before)
        if options.json:
            output.write_json({"reports": [_document(report) for report in reports]})
        else:
            output.show(_table(reports))
            output.show(*dict.fromkeys(f"note: {text}" for report in reports for text in report.cautions))


def _document(report: SpeculationReport) -> dict[str, object]:
    counts = report.counts
    found: dict[str, object] = {
        "engine": report.engine,
        "source": report.source,
        "label": report.label,
        "tokens_per_draft": report.tokens_per_draft,
        "stated_tokens_per_draft": report.stated,
        "tokens_per_second": report.tokens_per_second,
        "step_seconds": report.step_seconds,
        "cautions": report.cautions,
    }
    if counts is not None:
        found |= {
            "drafts": counts.drafts,
            "drafted_tokens": counts.drafted,
            "accepted_tokens": counts.accepted,
            "generated_tokens": counts.generated,
            "tokens_per_step": counts.tokens_per_step,
            "survival": counts.survival,
            "survival_intervals": [
                counts.survival_interval(place) for place in range(len(counts.accepted_at))
            ]
            if counts.drafts
            else [],
            "conditional_acceptance": counts.conditional_acceptance,
        }
    return found


def _table(reports: list[SpeculationReport]) -> Table:
    from rich.table import Table

    table = Table()
    for heading in (
        "engine",
        "source",
        "of",
        "tokens per draft",
        "tokens per step",
        "drafts",
        "survival by position",
    ):
        table.add_column(heading)
    for report in reports:
        counts = report.counts
        per_step = None if counts is None else counts.tokens_per_step
        survival = [
            f"{share:.3f} [{low:.3f}, {high:.3f}]"
            for place, share in enumerate(counts.survival if counts else ())
            for low, high in [counts.survival_interval(place) if counts else (0.0, 0.0)]
        ]
        table.add_row(
            report.engine,
            report.source,
            report.label,
            "" if report.tokens_per_draft is None else f"{report.tokens_per_draft:.3f}",
            "" if per_step is None else f"{per_step:.3f}",
            "" if counts is None else str(counts.drafts),
            ", ".join(survival),
        )
    return table
