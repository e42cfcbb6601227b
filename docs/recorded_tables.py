"""The tables of docs/ that come from records: `make results` writes them into the pages again.

A page says which ones, and holds them as text, so that it can be read without being built:

    <!-- table: waterfall of results/2026-11-26-advice/gap -->
    ...
    <!-- end of table -->

tests/docs/test_recorded_tables.py holds every page against its records.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("[!_]*/*.md"))]
TABLE = re.compile(
    r"<!-- table: (?P<name>[\w' -]+?) of (?P<record>\S+) -->\n.*?<!-- end of table -->", flags=re.DOTALL
)


def waterfall(record: Path) -> str:
    from speclight.advice.run_totals import run_totals
    from speclight.advice.waterfall import waterfall as waterfall_of
    from speclight.measure.decoded_run.tables import read_decoded_run
    from speclight.report.markdown import markdown_table
    from speclight.report.waterfall import HEADINGS, waterfall_rows

    run = read_decoded_run(record)
    return markdown_table(
        HEADINGS, waterfall_rows(waterfall_of(run_totals(run.texts, run.settings.node_budget)))
    )


def call_times(record: Path) -> str:
    from speclight.measure.latency.record import read_latency
    from speclight.report.latency import latency_table
    from speclight.report.markdown import markdown_of

    times = read_latency(record)
    return "\n\n".join(markdown_of(latency_table(times, curve)) for curve in times.curves)


def drafters_calls(record: Path) -> str:
    from speclight.measure.latency.record import read_latency
    from speclight.report.latency import drafter_times
    from speclight.report.markdown import markdown_of

    return markdown_of(drafter_times(read_latency(record)))


def seconds_around_calls(record: Path) -> str:
    from speclight.measure.latency.record import read_latency
    from speclight.report.latency import loop_times
    from speclight.report.markdown import markdown_of

    return markdown_of(loop_times(read_latency(record)))


def moments(record: Path) -> str:
    from speclight.experiments.papers.other_targets import read_target_moments
    from speclight.report.papers import moments_table

    return moments_table(read_target_moments(record).moments)


def summarised(name: str) -> Callable[[Path], str]:
    """A summary that speclight.report.reproduced_summary makes of what `speclight reproduce` recorded."""

    def summary(record: Path) -> str:
        from speclight.experiments.papers.joined import read_reproduced
        from speclight.report import reproduced_summary

        return getattr(reproduced_summary, name)(read_reproduced(record))

    return summary


def reproduced(heading: str) -> Callable[[Path], str]:
    """The table under a heading of the tables.md that `speclight reproduce` wrote."""

    def section(record: Path) -> str:
        text = (record / "tables.md").read_text(encoding="utf-8")
        _, found, rest = text.partition(f"**{heading}**")
        assert found, f"{record.name} holds no table {heading}"
        _, _, table = rest.partition("\n\n")
        return table.partition("\n\n")[0].rstrip()

    return section


# Name in a page -> the table of a folder of records.
TABLES: dict[str, Callable[[Path], str]] = {
    "waterfall": waterfall,
    "call times": call_times,
    "drafters' calls": drafters_calls,
    "seconds around calls": seconds_around_calls,
    "moments": moments,
    "sizes": reproduced("Larger targets"),
    "figure 1": reproduced("Figure 1"),
    "drafters' means": summarised("drafter_means"),
    "figure 1 lines": summarised("figure_1_lines"),
    "best trees": summarised("best_trees"),
    "gap factors": reproduced("From Theorem 1 down to the drafter"),
    "claims": reproduced("Claims"),
}


def rewritten(page: str) -> str:
    """The page with every table made from its record again."""

    def made(found: re.Match[str]) -> str:
        name, record = found["name"], found["record"]
        return f"<!-- table: {name} of {record} -->\n{TABLES[name](ROOT / record)}\n<!-- end of table -->"

    return TABLE.sub(made, page)


if __name__ == "__main__":
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        if (again := rewritten(text)) != text:
            path.write_text(again, encoding="utf-8")
            sys.stdout.write(f"written: {path.relative_to(ROOT)}\n")
