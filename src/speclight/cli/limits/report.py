"""`speclight report`: write the pages and figures of a run again, from its records; or compare two runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, check_writable
from speclight.cli.output import command_output
from speclight.errors import StorageError


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of `speclight report`."""

    run: Path = Path("out/demo")
    """Folder of a run, with its report.json."""
    compare: Path | None = None
    """Folder of a second run: writes comparison.html, the second against the first, not the report."""
    out: Path | None = None
    """Folder for the page, figures/ and tables/; the run's own if not given."""
    json: JsonFlag = False


def report(options: ReportOptions = ReportOptions()) -> None:
    """Write report.html, its figures and its tables from the report.json of an earlier `speclight demo`.

    Nothing is measured again. With --compare, two runs side by side, differences with intervals.

        speclight report --run out/demo
        speclight report --run out/before --compare out/after
    """
    out = options.run if options.out is None else options.out
    check_writable(out)
    for run in (options.run, options.compare):
        if run is not None and not (run / "report.json").is_file():
            raise StorageError(
                f"{run} holds no report.json, expected the folder of a run; make one with `speclight demo`"
            )
    if options.compare is None:
        _write_again(options, out)
    else:
        _write_comparison(options, options.compare, out)


def _write_again(options: ReportOptions, out: Path) -> None:
    from speclight.report.demo.html import write_report
    from speclight.report.demo.record_file import read_json
    from speclight.report.demo.terminal import terminal_table

    record = read_json(options.run / "report.json")
    with command_output(options.json) as output:
        page = write_report(record, out)
        output.show(terminal_table(record), f"report: {page}")
        if options.json:
            output.write_json({"target": record.target, "report": page})


def _write_comparison(options: ReportOptions, compared: Path, out: Path) -> None:
    from speclight.experiments.demo.comparison import compare_runs
    from speclight.report.demo.comparison import terminal_comparison, write_comparison
    from speclight.report.demo.record_file import read_json

    folders = (options.run, compared)
    first, second = (read_json(folder / "report.json") for folder in folders)
    names = (_name(folders[0]), _name(folders[1]))
    with command_output(options.json) as output:
        comparison = compare_runs(first, second)
        page = write_comparison(comparison, names, out)
        output.show(terminal_comparison(comparison, names), f"comparison: {page}")
        if options.json:
            differences = [{**asdict(item), "direction": item.direction} for item in comparison.differences]
            output.write_json({"comparison": page, "differences": differences})


def _name(folder: Path) -> str:
    """The last part of a folder's path, whatever it was written as."""
    return folder.resolve().name or str(folder)
