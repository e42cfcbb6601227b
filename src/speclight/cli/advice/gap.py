"""`speclight gap`: where the speed of a run goes, from the limit down to what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.advice.served import ServedOptions, show_served
from speclight.cli.options import (
    DraftingOptions,
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_picture,
    check_run,
    load_target,
    read_drafting,
    read_prompt_options,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.measure.decoded_run.settings import DecodedRunSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.advice.speed_limit import SpeedLimit
    from speclight.advice.waterfall import FactorName, Waterfall
    from speclight.measure.decoded_run.record import DecodedRun
    from speclight.measure.latency.record import LatencyRecord


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class GapOptions:
    """Options of `speclight gap`."""

    out: Path = Path("out/gap")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: DecodedRunSettings = field(default_factory=DecodedRunSettings)
    drafting: DraftingOptions = field(default_factory=DraftingOptions)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    latency: Path | None = None
    """Folder of call times of this target: say the most tokens per second that any trees allow with them."""
    plot: Path | None = None
    """A .svg or .png file for the figure."""
    served: ServedOptions = field(default_factory=ServedOptions)
    json: JsonFlag = False


def gap(options: GapOptions = GapOptions()) -> None:
    """Say where the speed goes: factors from the most that any decode can reach to what this run measured.

    Decodes prompts with a drafter and plainly in turn, looks at what was possible where each call started,
    and splits the speed-up over plain decoding into factors that multiply to it exactly, each with a 95%
    interval over prompts and a sentence on what would win it back.

        speclight gap --drafter eagle3 --budget 8 --temperature 1 --plot gap.svg

    With --imported it reads what a serving engine wrote instead, and sets its tokens per step beside the
    limits of the model, with chains and with trees, from a profile.

        speclight gap --imported after.prom --before before.prom --profile out/served
    """
    if options.served.imported is not None:
        with command_output(options.json) as output:
            show_served(options.served, output, as_json=options.json)
        return
    times = None if options.latency is None else _times(options.latency)
    run = _decoded(options)

    from speclight.advice.run_totals import run_setup, run_totals
    from speclight.advice.waterfall import waterfall
    from speclight.advice.waterfall_words import sentences

    budget = options.settings.node_budget
    found = waterfall(run_totals(run.texts, budget))
    limit = None if times is None else _limit(run, times, options.out)
    words = sentences(found, run_setup(run.texts, budget, run.drafter, run.tree, run.rule))
    if options.plot is not None:
        from speclight.report.waterfall import draw_waterfall

        draw_waterfall(found, _title(run), options.plot)
    with command_output(options.json) as output:
        if options.json:
            output.write_json(_document(run, found, words, options) | {"any_tree_limit": _plainly(limit)})
        else:
            figure = [] if options.plot is None else [f"figure: {options.plot}"]
            top = [] if limit is None else [_any_tree(found, limit)]
            output.show(_answer(run, found), *top, "", _table(found), "", *words.values())
            output.show("", f"records: {options.out}", *figure)


def _times(folder: Path) -> LatencyRecord:
    from speclight.measure.latency.record import read_latency

    return read_latency(folder)


def _limit(run: DecodedRun, times: LatencyRecord, folder: Path) -> SpeedLimit:
    from speclight.advice.speed_limit import check_target_timed, speed_limit
    from speclight.measure.store import read_plan

    check_target_timed(times, run.target, read_plan(folder)["weights_sha256"])
    return speed_limit(run.texts, times.of_batch(1))


def _any_tree(found: Waterfall, limit: SpeedLimit) -> str:
    """The limit over trees of all sizes in a sentence."""
    most, here = limit.tokens_per_second, 1e3 * found.means.plain_target_seconds
    upper = "" if most.upper != most.upper else f" (95% upper limit {most.upper:.1f})"
    return (
        f"Limit of any trees up to {limit.largest_tree} nodes with the call times recorded, drafting and "
        f"loop for nothing: {most.value:.1f} tokens per second{upper}; this run got "
        f"{100 * found.tokens_per_second / most.value:.0f}% of it. A plain call took "
        f"{1e3 * limit.plain_seconds:.3g} ms there and {here:.3g} ms in this run."
    )


def _plainly(limit: SpeedLimit | None) -> dict[str, object] | None:
    return None if limit is None else asdict(limit)


def _decoded(options: GapOptions) -> DecodedRun:
    """The run, decoded or read where it was before. Bad input is told before anything is loaded."""
    check_run(options.target, options.out)
    if options.plot is not None:
        check_picture("--plot", options.plot)
    drafting = read_drafting(options.drafting)
    prompts = read_prompt_options(options.prompts)

    from speclight.drafting.chosen_drafters import ComparedDrafter
    from speclight.drafting.drafter_names import name_and_weights
    from speclight.measure.decoded_run.run import DraftedBy, run_decoded

    name, weights = name_and_weights(options.drafting.drafter)
    compared = ComparedDrafter(name, weights, options.drafting.layers)
    tree = options.drafting.tree or ("best_first" if drafting.tree.kind == "deterministic" else "chain")
    by = DraftedBy(compared, drafting.tree, tree, drafting.rule)
    with command_output(options.json):
        target = load_target(options.target)
        with progress_bars() as progress:
            return run_decoded(target, prompts, by, options.settings, options.out, progress)


def _title(run: DecodedRun) -> str:
    settings = run.settings
    return (
        f"{run.target}\ndrafter {run.drafter} ({run.tree}), rule {run.rule}, P = {settings.node_budget}, "
        f"T = {settings.sampling.temperature:g}, {len({text.prompt_id for text in run.texts})} prompts"
    )


def _answer(run: DecodedRun, found: Waterfall) -> str:
    """The run in a line or two: the limit, what it got, and of what that is a share."""
    from speclight.report.number_format import FEWEST_PROMPTS

    limit, prompts = found.limit_tokens_per_second.value, found.speed_up.clusters
    few = (
        f"\n{prompts} prompts are too few for intervals that say much; raise --prompts-per-family."
        if prompts < FEWEST_PROMPTS
        else ""
    )
    return (
        f"{_title(run)}\n\n"
        f"Limit at this P, calls at the pace of plain ones: {limit:.1f} tokens per second. This run: "
        f"{found.tokens_per_second:.1f}, {100 * found.tokens_per_second / limit:.0f}% of it and "
        f"{found.speed_up.value:.2f} times plain decoding ({found.plain_tokens_per_second:.1f}).{few}"
    )


def _table(found: Waterfall) -> Table:
    from rich.table import Table

    from speclight.report.waterfall import HEADINGS, waterfall_rows

    table = Table(title="Where the speed goes", title_justify="left")
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if place == 0 else "right", no_wrap=True)
    rows = waterfall_rows(found)
    for number, row in enumerate(rows):
        table.add_row(*row, end_section=number == len(rows) - 2)
    return table


def _document(
    run: DecodedRun, found: Waterfall, words: dict[FactorName, str], options: GapOptions
) -> dict[str, object]:
    return {
        "target": run.target,
        "drafter": run.drafter,
        "tree": run.tree,
        "rule": run.rule,
        "node_budget": run.settings.node_budget,
        "temperature": run.settings.sampling.temperature,
        "prompts": len({text.prompt_id for text in run.texts}),
        "folder": options.out,
        "limit_tokens_per_second": asdict(found.limit_tokens_per_second),
        "tokens_per_second": found.tokens_per_second,
        "plain_tokens_per_second": found.plain_tokens_per_second,
        "speed_up": asdict(found.speed_up),
        "means": asdict(found.means),
        "factors": [
            {
                "name": factor.name,
                **asdict(factor.value),
                "tokens_per_second": factor.tokens_per_second.value,
                "tokens_per_second_if_one": factor.without,
                "sentence": words[factor.name],
            }
            for factor in found.factors
        ],
    }
