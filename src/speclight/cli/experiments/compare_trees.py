"""`speclight experiment compare-trees`: shapes of draft trees at equal node budgets and equal drafters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import (
    JsonFlag,
    PromptOptions,
    TargetOptions,
    load_target,
    parse_budgets,
    read_prompt_options,
)
from speclight.cli.output import command_output, json_line
from speclight.cli.progress import progress_bars


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CompareTreesOptions:
    """Options of `speclight experiment compare-trees`."""

    out: Path = Path("out/compare-trees")
    """Folder for texts, values, tables and figure; a killed run goes on where it stopped."""
    drafter: tuple[str, ...] = ()
    """Drafters compared: ngram, layer_skip, model, eagle3, medusa; if not given, all that can be made."""
    drafter_weights: tuple[str, ...] = ()
    """Weights of a drafter, as NAME=FOLDER: of model and medusa, and of eagle3 for a head of your own."""
    layers: int | None = None
    """First layers of the target that draft for layer_skip; the drafter's own choice if not given."""
    budget: str = "4,8,16,32,60"
    """Node budgets P, root included."""
    prompts_per_family: int = 4
    """Prompts of each family whose texts give contexts."""
    contexts: int = 4
    """Contexts of each text, spread evenly over its tokens."""
    calibration_prompts: int = 2
    """Further prompts of each family, whose texts give the acceptance vector of the static tree."""
    tokens: int = 64
    """Length limit of a text."""
    temperature: float = 1.0
    """Temperature of the texts, the target's law and the drafter's; above 0."""
    seed: int = 0
    """Seed of texts and contexts."""
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def compare_trees(options: CompareTreesOptions = CompareTreesOptions()) -> None:
    """Compare best-first draft trees with EAGLE-2's, static, chain and batch trees of as many nodes.

    Expected tokens per call at contexts of the target's own text, exact at each: under the target's law,
    which decides, and under the drafter's own, where no tree can be better than best-first.

        speclight experiment compare-trees --drafter eagle3 --budget 8,16,60
    """
    from speclight.experiments.chosen_drafters import compared_drafters
    from speclight.experiments.trees.run import DRAFTERS_WITH_A_LAW, TreeSettings, run_tree_comparison
    from speclight.experiments.trees.summary import summarise_trees
    from speclight.measure.store import write_whole
    from speclight.models.sampling import SamplingSettings
    from speclight.report.trees import draw, markdown

    settings = TreeSettings(
        node_budgets=parse_budgets(options.budget),
        prompts_per_family=options.prompts_per_family,
        contexts=options.contexts,
        calibration_prompts=options.calibration_prompts,
        max_tokens=options.tokens,
        sampling=SamplingSettings(options.temperature),
        seed=options.seed,
    )
    prompts = read_prompt_options(options.prompts)
    with command_output(options.json) as output:
        target = load_target(options.target)
        drafters = compared_drafters(
            target, DRAFTERS_WITH_A_LAW, options.drafter, options.drafter_weights, options.layers
        )
        with progress_bars() as progress:
            compared = run_tree_comparison(target, prompts, drafters, settings, options.out, progress)
        summaries = [summarise_trees(trees) for trees in compared]
        document = {
            "target": target.name,
            "settings": asdict(settings),
            "drafters": [
                {**asdict(summary), "acceptance": trees.acceptance}
                for summary, trees in zip(summaries, compared, strict=True)
            ],
        }
        write_whole(options.out / "comparison.json", (json_line(document) + "\n").encode())
        tables = markdown(summaries)
        write_whole(options.out / "tables.md", (tables + "\n").encode())
        figure = draw(summaries, options.out / "tokens-per-call.svg")
        if options.json:
            output.write_json(document)
        else:
            output.show(tables, f"\nfigure: {figure}")
