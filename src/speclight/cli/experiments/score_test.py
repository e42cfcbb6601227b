"""`speclight experiment score-test`: do configurations get the tokens per call that their scores say?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, check_run, load_target
from speclight.cli.output import command_output, write_tables
from speclight.cli.progress import progress_bars
from speclight.experiments.scores.settings import ScoreTestSettings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTestOptions:
    """Options of `speclight experiment score-test`."""

    drafter: tuple[str, ...] = ()
    """The trace's drafters with their weights, as NAME=WEIGHTS, where it was given some."""
    out: Path = Path("out/score-test")
    """Folder for the decodes and the table; a killed run goes on where it stopped."""
    settings: ScoreTestSettings = field(default_factory=ScoreTestSettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def score_test(trace: Path, /, *, options: ScoreTestOptions = ScoreTestOptions()) -> None:
    """Decode configurations spread over a trace and compare their tokens per call with their scores.

    The prompts are the trace's, the texts are new ones. Each prediction should lie inside its 95% interval,
    but for one in twenty.

        speclight experiment score-test out/trace --budget 4,8,16
    """
    check_run(options.target, options.out)

    from speclight.measure.trace.record import read_trace

    read = read_trace(trace)

    from speclight.drafting.chosen_drafters import ComparedDrafter
    from speclight.drafting.drafter_labels import label_given
    from speclight.drafting.drafter_names import name_and_weights
    from speclight.experiments.scores.run import run_score_test
    from speclight.report.score_test import score_test_markdown

    drafters = {label: ComparedDrafter(*name_and_weights(label)) for label in read.drafters}
    for item in options.drafter:
        drafters[label_given(item, read.drafters)] = ComparedDrafter(*name_and_weights(item))
    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            found = run_score_test(target, read, drafters, options.settings, options.out, progress)
        table = score_test_markdown(found)
        write_tables(options.out, table)
        if options.json:
            output.write_json({**asdict(found), "outside": found.outside, "folder": options.out})
        else:
            output.show(table)
