"""`speclight reproduce`: the papers' tables and figures, measured again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, check_run, check_writable, load_target
from speclight.cli.output import command_output, write_document, write_tables
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput
from speclight.experiments.papers.settings import PapersSettings

if TYPE_CHECKING:
    from speclight.experiments.papers.run import Beside, Reproduced

# The first two need no model; the others share their records.
Experiment = Literal["published", "targets", "table-1", "figure-1", "figure-2", "claims", "all"]
PUBLISHED_BUDGETS = (8, 60, 1024)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceOptions:
    """Options of `speclight reproduce`."""

    questions: tuple[Path, ...] = ()
    """Question files (JSON lines), each a data set; EAGLE's are named as in the papers."""
    drafter: tuple[str, ...] = ()
    """Drafters of the figures, as NAME or NAME=WEIGHTS: ngram, layer_skip, model, eagle3, medusa; a name may
    come several times with weights of other names, as heads that `train-head --keep-every` kept do. If none
    is given, all that need no weights."""
    exits: tuple[int, ...] = ()
    """First layers of the target that draft for layer_skip, as 4,8,16; its own choice if not given."""
    latency: Path | None = None
    """Folder of `speclight latency` on the same machine and target, for the claim about call times."""
    beside: tuple[Path, ...] = ()
    """Folders of `reproduce` runs of other targets over the same question files, for the claim about size."""
    out: Path = Path("out/papers")
    """Folder for records, tables and figures; a killed run goes on where it stopped."""
    settings: PapersSettings = field(default_factory=PapersSettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def reproduce(experiment: Experiment, /, options: ReproduceOptions = ReproduceOptions()) -> None:
    """Run an experiment of arXiv 2512.11718v1 again, on your target and question files, beside its numbers.

    published: its Table 1 under every form of its theorem, and deployed drafters against those limits.
    targets: where its models are to be had, and smaller ones from wheels, made into folders if installed.
    table-1: mu and mu2 by data set. figure-1: Lemma 7 against the tokens per call of drafters. figure-2:
    tokens per call over P, measured, searched and bounded. claims: a verdict on each, by rules fixed before.

        speclight reproduce table-1 --questions gsm8k.jsonl --questions mt_bench.jsonl --temperature 1
    """
    if experiment in ("published", "targets"):
        (_published if experiment == "published" else _targets)(options)
        return
    if not options.questions:
        raise InvalidInput(
            f"{experiment} needs question files, got none; give --questions FILE for each data set"
        )
    check_run(options.target, options.out, options.drafter, options.settings.node_budgets)

    from speclight.experiments.papers.published import FILE_NAMES
    from speclight.experiments.question_files import read_question_files

    data_sets = read_question_files(options.questions, options.settings.prompts_per_file, FILE_NAMES)
    beside = _beside(options)

    from speclight.drafting.chosen_drafters import labelled_drafters
    from speclight.experiments.papers.other_targets import RESULT_NAME
    from speclight.experiments.papers.run import LAID_DRAFTERS
    from speclight.experiments.papers.run import reproduce as run
    from speclight.report.papers import reproduced_markdown

    with command_output(options.json) as output:
        target = load_target(options.target)
        drafters = labelled_drafters(target, LAID_DRAFTERS, options.drafter, options.exits)
        with progress_bars() as progress:
            found = run(
                target, experiment, data_sets, drafters, options.settings, options.out, beside, progress
            )
        tables = reproduced_markdown(found)
        write_tables(options.out, tables)
        write_document(options.out / RESULT_NAME, asdict(found))
        figures = _figures(found, options.out)
        if options.json:
            output.write_json({**asdict(found), "folder": options.out, "figures": figures})
        else:
            output.show(tables, f"\nrecords and figures: {options.out.as_posix()}")


def _beside(options: ReproduceOptions) -> Beside:
    from speclight.experiments.papers.call_times import measured_times
    from speclight.experiments.papers.other_targets import read_target_moments
    from speclight.experiments.papers.run import Beside
    from speclight.measure.latency.record import read_latency

    times = None
    if options.latency is not None:
        times = measured_times(read_latency(options.latency), max(options.settings.node_budgets))
    return Beside(tuple(map(read_target_moments, options.beside)), times)


def _published(options: ReproduceOptions) -> None:
    from speclight.experiments.papers.published import TABLE_1
    from speclight.experiments.papers.systems import published_values, systems_beside_limits
    from speclight.report.papers import published_page

    with command_output(options.json) as output:
        if not options.json:
            output.show(published_page(PUBLISHED_BUDGETS))
            return
        rows = [
            {
                "target": row.target,
                "data": row.data,
                "mu": row.mu,
                "mu2": row.mu2,
                "limits": [
                    {"node_budget": budget, **published_values(row, budget)} for budget in PUBLISHED_BUDGETS
                ],
            }
            for row in TABLE_1
        ]
        output.write_json({"rows": rows, "systems": [asdict(each) for each in systems_beside_limits()]})


def _targets(options: ReproduceOptions) -> None:
    from speclight.experiments.papers.targets import HUB_TARGETS, WHEEL_TARGETS
    from speclight.report.papers import targets_markdown

    check_writable(options.out)

    from speclight.experiments.papers.wheel_targets import is_installed, make_folder

    with command_output(options.json) as output:
        made = {
            target.name: make_folder(target, options.out) for target in WHEEL_TARGETS if is_installed(target)
        }
        if options.json:
            output.write_json(
                {
                    "hub": [asdict(target) for target in HUB_TARGETS],
                    "wheels": [
                        {**asdict(target), "install": target.install_command, "folder": made.get(target.name)}
                        for target in WHEEL_TARGETS
                    ],
                }
            )
        else:
            output.show(targets_markdown(made))


def _figures(found: Reproduced, folder: Path) -> list[Path]:
    from speclight.report.paper_figures import draw_figure_1, draw_figure_2

    figures: list[Path] = []
    if found.points:
        figures.append(draw_figure_1(found.points, found.fits, folder / "figure-1.svg"))
    if found.panels:
        figures.append(draw_figure_2(found.panels, folder / "figure-2.svg"))
    return figures
