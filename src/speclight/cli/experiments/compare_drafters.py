"""`speclight experiment compare-drafters`: what every drafter gives on the same prompts, and its cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import (
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_run,
    load_target,
    read_prompt_options,
)
from speclight.cli.output import command_output, write_document, write_tables
from speclight.cli.progress import progress_bars
from speclight.experiments.drafters.settings import DrafterComparisonSettings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CompareDraftersOptions:
    """Options of `speclight experiment compare-drafters`."""

    out: Path = Path("out/compare-drafters")
    """Folder for records, tables and figure; a killed run goes on where it stopped."""
    drafter: tuple[str, ...] = ()
    """Drafters compared, as NAME or NAME=WEIGHTS: none, ngram, eagle3
    and others; if not given, all that need no weights."""
    layers: int | None = None
    """First layers of the target that draft for layer_skip and two_stage; their own choice if not given."""
    settings: DrafterComparisonSettings = field(default_factory=DrafterComparisonSettings)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def compare_drafters(options: CompareDraftersOptions = CompareDraftersOptions()) -> None:
    """Decode the same prompts with every drafter: tokens per call, share of time, speed against plain.

    Best-first trees, rule target_sample. Times compare only what ran on an otherwise idle machine. The tables
    are Markdown, and written to tables.md beside the records.

        speclight experiment compare-drafters --drafter ngram --drafter eagle3 --budget 16
    """
    check_run(options.target, options.out, options.drafter)
    prompts = read_prompt_options(options.prompts)

    from speclight.drafting.chosen_drafters import ALL_DRAFTERS, compared_drafters
    from speclight.experiments.drafters.limit_checks import check_drafters
    from speclight.experiments.drafters.run import run_drafter_comparison
    from speclight.experiments.drafters.summary import summarise_drafters
    from speclight.report.drafters import draw, markdown

    with command_output(options.json) as output:
        target = load_target(options.target)
        drafters = compared_drafters(target, ALL_DRAFTERS, options.drafter, options.layers)
        with progress_bars() as progress:
            comparison = run_drafter_comparison(
                target, prompts, drafters, options.settings, options.out, progress
            )
        rows, checks = summarise_drafters(comparison), check_drafters(target, prompts, comparison)
        document = {
            "target": comparison.target,
            "machine": comparison.machine,
            "threads": comparison.threads,
            "settings": asdict(options.settings),
            "rows": [asdict(row) for row in rows],
            "limit_checks": [asdict(check) for check in checks],
        }
        tables = markdown(comparison, rows, checks)
        write_document(options.out / "comparison.json", document)
        write_tables(options.out, tables)
        figure = draw(comparison, rows, options.out / "drafters.svg")
        if options.json:
            output.write_json(document)
        else:
            output.show(tables, f"\nfigure: {figure}")
