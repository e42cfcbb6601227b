"""`speclight experiment race-vs-rejection`: races against coins at equal numbers of drafted tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.checks import check_whole_numbers
from speclight.cli.options import (
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_run,
    load_target,
    read_prompt_options,
)
from speclight.cli.output import command_output, write_document
from speclight.cli.progress import progress_bars
from speclight.drafting.drafter_names import name_and_weights
from speclight.experiments.races.settings import RaceExperimentSettings

if TYPE_CHECKING:
    from speclight.experiments.races.run import RaceComparison
    from speclight.measure.prompts import Prompt

# Prompts looked at beyond those sampled from, so that the longest can be left out.
SPARE_PROMPTS = 4


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOptions:
    """Options of `speclight experiment race-vs-rejection`."""

    out: Path = Path("out/race-vs-rejection")
    """Folder for texts, rank laws, results and figure; a killed run goes on where it stopped."""
    drafter: tuple[str, ...] = ("layer_skip", "ngram")
    """Whose laws, as NAME or NAME=WEIGHTS: layer_skip, ngram (by counts), model (needs weights), eagle3."""
    layers: int | None = None
    """First layers of the target that draft; those of the drafter layer_skip if not given."""
    settings: RaceExperimentSettings = field(default_factory=RaceExperimentSettings)
    candidates: int = 60
    """Prompts to sample from, spread over all given; the first texts of full length are taken."""
    invariance_drafter: tuple[str, ...] = ()
    """Drafters for the part on drafter invariance alone, besides the others."""
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def race_vs_rejection(options: RaceOptions = RaceOptions()) -> None:
    """Compare race and coin rules by the laws along the target's own text.

    Tokens per call of every rule and drafting strategy at equal numbers of drafted tokens, exact given the
    texts, beside H[R] and the bound it gives; optionally on trees really drafted, and drafter invariance.
    Of prompts with several turns, the first is answered. The race algorithms are a reconstruction: see
    docs/theory/races.md.

        speclight experiment race-vs-rejection --drafter layer_skip --drafter ngram
    """
    _check(options)
    prompts = _short_prompts(read_prompt_options(options.prompts), options.candidates)

    from speclight.experiments.races.comparison import run_race_experiment
    from speclight.experiments.races.laws import race_drafter
    from speclight.report.races import draw, markdown

    with command_output(options.json) as output:
        target = load_target(options.target)
        drafters, others = (
            [
                race_drafter(name, target, weights=weights, layers=options.layers)
                for name, weights in map(name_and_weights, given)
            ]
            for given in (options.drafter, options.invariance_drafter)
        )
        with progress_bars() as progress:
            result = run_race_experiment(
                target, drafters, prompts, options.settings, options.out, progress, others
            )
        document = asdict(result)
        write_document(options.out / "comparison.json", document)
        figure = draw(result.comparison, options.out / "tokens-per-call.svg")
        if options.json:
            output.write_json(document)
        else:
            output.show(markdown(result), *_above(result.comparison), f"\nfigure: {figure}")


def _above(comparison: RaceComparison) -> list[str]:
    """A line for each rule that did what no lossless rule can."""
    return [
        f"\nABOVE THE COUPLING BOUND, a bug in rule or bound: {case}"
        for case in comparison.above_coupling_bound
    ]


def _check(options: RaceOptions) -> None:
    check_whole_numbers(options, "candidates")
    drafters = (*options.drafter, *options.invariance_drafter)
    check_run(options.target, options.out, drafters, options.settings.node_budgets)


def _short_prompts(prompts: tuple[Prompt, ...], count: int) -> tuple[Prompt, ...]:
    """`count` prompts spread over all, without the longest.

    They are read several times, and the laws along the answer are what counts.
    """
    spread = prompts[:: max(1, len(prompts) // (count + SPARE_PROMPTS))]
    return tuple(sorted(spread, key=lambda prompt: len(prompt.turns[0]))[:count])
