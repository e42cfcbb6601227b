"""`speclight experiment compare-trees`: shapes of draft trees at equal node budgets and equal drafters."""

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
from speclight.experiments.trees.settings import TreeSettings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CompareTreesOptions:
    """Options of `speclight experiment compare-trees`."""

    out: Path = Path("out/compare-trees")
    """Folder for texts, values, tables and figure; a killed run goes on where it stopped."""
    drafter: tuple[str, ...] = ()
    """Drafters compared, as NAME or NAME=WEIGHTS: ngram, layer_skip, model,
    eagle3, medusa; if not given, all that need no weights."""
    layers: int | None = None
    """First layers of the target that draft for layer_skip and two_stage; their own choice if not given."""
    settings: TreeSettings = field(default_factory=TreeSettings)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def compare_trees(options: CompareTreesOptions = CompareTreesOptions()) -> None:
    """Compare best-first draft trees with EAGLE-2's, static, chain and batch trees of as many nodes.

    Expected tokens per call at contexts of the target's own text, exact at each: under the target's law,
    which decides, and under the drafter's own, where no tree can be better than best-first.

        speclight experiment compare-trees --drafter eagle3 --budget 8,16,60
    """
    check_run(options.target, options.out, options.drafter)
    prompts = read_prompt_options(options.prompts)

    from speclight.drafting.chosen_drafters import compared_drafters
    from speclight.experiments.trees.run import run_tree_comparison
    from speclight.experiments.trees.summary import summarise_trees
    from speclight.measure.trace.run import TRACED_DRAFTERS
    from speclight.report.trees import draw, markdown

    with command_output(options.json) as output:
        target = load_target(options.target)
        drafters = compared_drafters(target, TRACED_DRAFTERS, options.drafter, options.layers)
        with progress_bars() as progress:
            compared = run_tree_comparison(target, prompts, drafters, options.settings, options.out, progress)
        summaries = [summarise_trees(trees) for trees in compared]
        document = {
            "target": target.name,
            "settings": asdict(options.settings),
            "drafters": [
                {**asdict(summary), "acceptance": trees.acceptance}
                for summary, trees in zip(summaries, compared, strict=True)
            ],
        }
        write_document(options.out / "comparison.json", document)
        tables = markdown(summaries)
        write_tables(options.out, tables)
        figure = draw(summaries, options.out / "tokens-per-call.svg")
        if options.json:
            output.write_json(document)
        else:
            output.show(tables, f"\nfigure: {figure}")
