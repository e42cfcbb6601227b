"""`speclight report`: write the pages and figures of a run again, from its records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, check_writable
from speclight.cli.output import command_output


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of `speclight report`."""

    run: Path = Path("out/demo")
    """Folder of a run, with its report.json."""
    out: Path | None = None
    """Folder for report.html and figures/; the run's own if not given."""
    json: JsonFlag = False


def report(options: ReportOptions = ReportOptions()) -> None:
    """Write report.html and its figures from the report.json of an earlier `speclight demo`.

    Nothing is measured again.

        speclight report --run out/demo
    """
    check_writable(options.run if options.out is None else options.out)

    from speclight.report.demo.html import write_report
    from speclight.report.demo.record_file import read_json
    from speclight.report.demo.terminal import terminal_table

    record = read_json(options.run / "report.json")
    with command_output(options.json) as output:
        page = write_report(record, options.run if options.out is None else options.out)
        output.show(terminal_table(record), f"report: {page}")
        if options.json:
            output.write_json({"target": record.target, "report": page})
