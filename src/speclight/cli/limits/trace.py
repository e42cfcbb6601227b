"""`speclight trace`: a target and its drafters along the target's own text, recorded once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.engines.options import EngineOptions, check_server, engine_client, rendering
from speclight.cli.flags import without
from speclight.cli.options import (
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_run,
    load_target,
    read_prompt_options,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput
from speclight.measure.profile_settings import ProfileSettings
from speclight.measure.trace.settings import TraceSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.drafting.chosen_drafters import ComparedDrafter
    from speclight.measure.estimates import Estimate
    from speclight.measure.prompts import Prompt
    from speclight.measure.trace.record import Trace
    from speclight.models.causal_lm import CausalLM

NO_DRAFTERS = ("none",)
# The target's own tree, among drafters.
BEST = "best possible"
# Where a server listed too few tokens for that tree to be certain.
MOST = "best possible, at most"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """Options of `speclight trace`."""

    out: Path = Path("out/trace")
    """Folder for the record; a killed run goes on where it stopped when the command is repeated."""
    profile: Path | None = None
    """Trace the texts of this profile, under its law, copied into the record; sampled if not given."""
    drafter: tuple[str, ...] = ()
    """Drafters traced together, as NAME or NAME=WEIGHTS: ngram, layer_skip, model, eagle3, medusa; none for
    the target's best trees alone; if not given, all that need no weights."""
    layers: int | None = None
    """First layers of the target that draft for layer_skip; its own choice if not given."""
    settings: TraceSettings = field(default_factory=TraceSettings)
    texts: Annotated[ProfileSettings, without("seed")] = field(default_factory=ProfileSettings)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    server: EngineOptions = field(default_factory=EngineOptions)
    top: int = 20
    """Likeliest tokens asked for per node, where a server is traced; at P - 1 every tree is certain."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def trace(options: TraceOptions = TraceOptions()) -> None:
    """Record, along the target's own text, its best draft trees and all that each drafter would have drafted.

    At every start: the target's best tree, and for each drafter the trees of every --growth at every
    --budget, each node with the log-probability that both models give it. Which tree, budget, rule and
    drafter is best is then a matter of arithmetic, without a model, and one start answers for thousands of
    settings. Starts are windows of neighbouring positions, each position equally likely; so the calls of a
    decode can be followed through a window.

        speclight trace --drafter ngram --drafter eagle3 --budget 8,16,64 --out out/trace

    --growth is repeated for each tree wanted, as in --growth best_first --growth eagle2=4,8,8.
    Temperature 0 traces greedy decoding.

    With --engine the target is the model of a running inference server, and its best trees alone are traced,
    since drafters need its law at nodes that it does not list.

        speclight trace --engine http://127.0.0.1:8000 --drafter none --budget 4,8,16 --out out/served-trace
    """
    prompts = _checked(options)

    with command_output(options.json) as output:
        if options.server.engine is None:
            found = _of_target(options, prompts)
        else:
            found = _of_engine(options, prompts)
        if options.json:
            output.write_json(_document(options.out, found))
        else:
            output.show(_table(found), _size(options.out, found), f"record: {options.out}")


def _of_target(options: TraceOptions, prompts: tuple[Prompt, ...]) -> Trace:
    from speclight.measure.profile import read_profile
    from speclight.measure.profile_run import run_profile
    from speclight.measure.trace.record import TEXTS
    from speclight.measure.trace.run import copy_profile, run_trace

    target = load_target(options.target)
    drafters = _drafters(options, target)
    with progress_bars() as progress:
        if options.profile is None:
            run_profile(target, prompts, _texts(options), options.out / TEXTS, progress, keep_laws=True)
        else:
            copy_profile(read_profile(options.profile), options.out)
        return run_trace(target, drafters, options.settings, options.out, progress)


def _of_engine(options: TraceOptions, prompts: tuple[Prompt, ...]) -> Trace:
    from speclight.engines.profile_run import profile_engine
    from speclight.engines.trace_run import trace_engine
    from speclight.measure.profile import read_profile
    from speclight.measure.trace.record import TEXTS

    with engine_client(options.server) as client, progress_bars() as progress:
        if options.profile is None:
            here = rendering(options.server)
            profile = profile_engine(client, prompts, _texts(options), options.out / TEXTS, 0, here, progress)
        else:
            profile = read_profile(options.profile)
        return trace_engine(client, profile, options.settings, options.top, options.out, progress)


def _texts(options: TraceOptions) -> ProfileSettings:
    return replace(options.texts, seed=options.settings.seed)


def _checked(options: TraceOptions) -> tuple[Prompt, ...]:
    """The prompts, after a look at everything that can be wrong before something is loaded."""
    drafters = () if options.drafter == NO_DRAFTERS else options.drafter
    check_run(options.target, options.out, drafters, options.settings.node_budgets)
    check_server(options.server)
    if options.server.engine is not None and (options.drafter != NO_DRAFTERS or options.settings.sampled):
        raise InvalidInput(
            "got a server and drafters, expected --drafter none: a server shows its likeliest tokens, not "
            "the target's law at the nodes of a drafter's tree; trace drafters with the target loaded here"
        )

    from speclight.drafting.tree_names import read_tree
    from speclight.measure.trace.sampled_names import read_sampled

    for growth in options.settings.growths:
        read_tree(growth, "deterministic")
    for draft in options.settings.sampled:
        read_sampled(draft)
    if options.profile is None:
        return read_prompt_options(options.prompts)
    if options.texts != ProfileSettings() or options.prompts != PromptOptions():
        raise InvalidInput(
            "got --profile with settings of texts or prompts, expected only one of them: the profile's texts "
            "are traced, under the law they were sampled from; leave out --temperature, --max-tokens, "
            "--prompts and the like"
        )

    from speclight.measure.profile import read_profile

    read_profile(options.profile)
    return ()


def _drafters(options: TraceOptions, target: CausalLM) -> tuple[ComparedDrafter, ...]:
    from speclight.drafting.chosen_drafters import compared_drafters
    from speclight.measure.trace.run import TRACED_DRAFTERS

    if options.drafter == NO_DRAFTERS:
        return ()
    return compared_drafters(target, TRACED_DRAFTERS, options.drafter, options.layers, several=True)


def _document(folder: Path, found: Trace) -> dict[str, object]:
    from speclight.measure.trace.record import bytes_per_start

    starts = found.starts
    return {
        "target": found.target,
        "temperature": found.sampling.temperature,
        "folder": folder,
        "start_law": found.settings.start_law,
        "starts": len(starts),
        "texts": len(found.profile.texts),
        "tokens": _tokens(found),
        "bytes_per_start": bytes_per_start(folder, found),
        "bytes_per_token": bytes_per_start(folder, found) * len(starts) / _tokens(found),
        "node_budgets": found.node_budgets,
        "growths": found.growths,
        "families": {
            family: {
                "starts": len(found.of_family(family)),
                "tokens_per_call": {
                    name: [
                        {"node_budget": budget, "value": each.value, "low": each.low, "high": each.high}
                        for budget, each in zip(found.node_budgets, estimates, strict=True)
                    ]
                    for name, estimates in _tokens_per_call(found, family).items()
                },
            }
            for family in found.families
        },
    }


def _tokens(found: Trace) -> int:
    return sum(len(text.token_ids) for text in found.profile.texts)


def _tokens_per_call(found: Trace, family: str) -> dict[str, list[Estimate]]:
    """Best-first trees at uniform starts by node budget: the target's own, and each drafter's."""
    import numpy as np

    from speclight.advice.growth_values import growth_values
    from speclight.advice.ordered_trees import ordered_trees
    from speclight.drafting.tree_choices import BestFirst
    from speclight.measure.estimates import mean_over

    starts, budgets = found.of_family(family), found.node_budgets
    prompts = [start.prompt_id for start in starts]
    tokens = {BEST: np.array([[np.exp(start.best[:P]).sum() for P in budgets] for start in starts])}
    for name in found.drafters:
        trees = ordered_trees(starts, name)
        tokens[name] = growth_values(trees, BestFirst(), budgets, budgets[-1]).expected_tokens
    estimates = {
        name: [mean_over(prompts, column.tolist()) for column in values.T] for name, values in tokens.items()
    }
    if any(np.isfinite(start.hidden) for start in starts):
        from speclight.engines.oracle_run import most_possible

        most = [most_possible(found, family, budget) for budget in budgets]
        if any(upper.value > best.value for upper, best in zip(most, estimates[BEST], strict=True)):
            estimates[MOST] = most
    return estimates


def _table(found: Trace) -> Table:
    from rich.table import Table

    table = Table(
        title=f"Tokens per call at {found.settings.start_law} (95% half-width)", title_justify="left"
    )
    for heading in ("family", "starts", "drafter"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "starts" else "left")
    for budget in found.node_budgets:
        table.add_column(f"P = {budget}", justify="right")
    for family in found.families:
        for name, estimates in _tokens_per_call(found, family).items():
            first = (family, str(len(found.of_family(family)))) if name == BEST else ("", "")
            table.add_row(*first, name, *map(_cell, estimates))
    return table


def _cell(estimate: Estimate) -> str:
    spread = "" if estimate.high is None else f" \N{PLUS-MINUS SIGN} {estimate.high - estimate.value:.2f}"
    return f"{estimate.value:.2f}{spread}"


def _size(folder: Path, found: Trace) -> str:
    from speclight.measure.trace.record import bytes_per_start

    size, starts, tokens = bytes_per_start(folder, found), len(found.starts), _tokens(found)
    return (
        f"{starts} starts in {tokens} tokens of {len(found.profile.texts)} texts; {size:.0f} bytes a start, "
        f"{size * starts / tokens:.0f} a token"
    )
