"""Several runs of `speclight reproduce all` over one target, joined as if one run had made them.

    python tools/join_reproduced.py FOLDER FOLDER ... --latency TIMES --beside OTHER --out JOINED

Reads what each run left in its folder (one file of questions at one temperature, say), and writes tables and
figures of them all; with one folder alone its verdicts are made again, beside what has been measured since.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from speclight.cli.output import write_document, write_tables
from speclight.experiments.papers.call_times import measured_times
from speclight.experiments.papers.joined import joined, read_reproduced
from speclight.experiments.papers.other_targets import RESULT_NAME, read_target_moments
from speclight.experiments.papers.run import Beside
from speclight.measure.latency.record import read_latency
from speclight.report.paper_figures import draw_figure_1, draw_figure_2
from speclight.report.papers import reproduced_markdown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--latency", type=Path, help="folder of `speclight latency`")
    parser.add_argument("--beside", type=Path, action="append", default=[], help="folder of another target")
    parser.add_argument("--figures", type=Path, help="folder for the figures; none are drawn without it")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    parts = [read_reproduced(folder) for folder in given.folders]
    times = None
    if given.latency is not None:
        largest = max(panel.node_budgets[-1] for part in parts for panel in part.panels)
        times = measured_times(read_latency(given.latency), largest)
    found = joined(parts, Beside(tuple(map(read_target_moments, given.beside)), times))
    given.out.mkdir(parents=True, exist_ok=True)
    write_tables(given.out, reproduced_markdown(found))
    write_document(given.out / RESULT_NAME, asdict(found))
    if given.figures is not None:
        given.figures.mkdir(parents=True, exist_ok=True)
        draw_figure_1(found.points, found.fits, given.figures / "figure-1.svg")
        draw_figure_2(found.panels, given.figures / "figure-2.svg")


if __name__ == "__main__":
    main()
