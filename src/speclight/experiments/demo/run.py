"""The main job: a trace of one target, all that is read from it, and decoding, gathered into one record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from speclight.checks import check_whole_numbers
from speclight.decoding.decode import DecodeSettings
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafters import law_source
from speclight.errors import InvalidInput
from speclight.experiments.demo.call_starts import call_start_limit, uniform_start_limit
from speclight.experiments.demo.decode_limits import (
    call_times_along,
    family_decodes,
    limit_checks,
    scored_texts,
    speed_limit,
)
from speclight.experiments.demo.drafter_run import DrafterRun, summary_of, together, totals_by_prompt
from speclight.experiments.demo.family_profiles import family_profile
from speclight.experiments.demo.limit_curves import family_limits, overall_limits
from speclight.experiments.demo.record import (
    ALL_FAMILIES,
    SCHEMA,
    DecodingSummary,
    DemoRecord,
    Example,
    FamilyLimits,
    Headline,
    PromptTotals,
)
from speclight.experiments.demo.waterfall import TREE, speed_losses
from speclight.experiments.demo.what_if import demo_what_if
from speclight.measure.decoded_run.call_starts import SearchedPrompt, search_call_starts
from speclight.measure.decoded_run.decoding import OWN_LOOP, DecodedPrompt, greedy_divergences
from speclight.measure.decoded_run.timing import time_in_turn
from speclight.measure.machine_load import load_average, machine_load
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.provenance import RunClock, provenance
from speclight.measure.trace.record import KIND, TEXTS, Trace
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.causal_lm import CausalLM
from speclight.models.default_target import DEFAULT_NAME
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent

RULE = "target_sample"
TEMPERATURES = (0.0, 1.0)
HEADLINE_TEMPERATURE = 1.0
DRAFTER_CHOICE = (
    "Fixed before the run, not chosen on these prompts: the head made for this target, or prompt lookup "
    "where none comes with speclight."
)
EXAMPLE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How much to measure.

    prompts_per_family: whose texts are sampled for the trace. profile_tokens: length limit of a text; starts
    need oracle_budget - 1 further tokens. batch_size: of texts sampled together, padded to the longest: the
    short ones of all families, and the long ones. oracle_contexts: starts of the trace, per family.
    decoded_prompts: per family, each decoded for decoded_tokens at the headline's temperature;
    greedy_prompts: likewise at temperature 0. timing_rounds: how often drafted and plain decoding take turns
    on each prompt at the headline's temperature; at the other one, once. call_rounds: how often a target call
    of each size is timed. drafters, node_budget: of the decoding runs; the last drafter is the headline's,
    and is traced.
    """

    prompts_per_family: int = 6
    profile_tokens: int = 72
    batch_size: int = 24
    oracle_contexts: int = 5
    oracle_budget: int = 64
    decoded_prompts: int = 2
    greedy_prompts: int = 3
    decoded_tokens: int = 12
    timing_rounds: int = 1
    call_rounds: int = 3
    node_budget: int = 4
    drafters: tuple[str, ...] = ("ngram",)
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_numbers(self, "prompts_per_family", "batch_size", "oracle_contexts")
        check_whole_numbers(self, "decoded_prompts", "greedy_prompts", "decoded_tokens")
        check_whole_numbers(self, "timing_rounds", "call_rounds")
        if self.profile_tokens < self.oracle_budget:
            raise InvalidInput(
                f"profiled texts of {self.profile_tokens} tokens hold no start for an oracle of "
                f"{self.oracle_budget} nodes; profile at least that many tokens"
            )

    @property
    def headline_drafter(self) -> str:
        """The one that is traced and judged."""
        return self.drafters[-1]

    @property
    def texts(self) -> ProfileSettings:
        """The texts of the trace."""
        return ProfileSettings(max_tokens=self.profile_tokens, batch_size=self.batch_size, seed=self.seed)

    @property
    def trace(self) -> TraceSettings:
        """Starts where bounds have theirs; best trees for all P, the drafter's at that of the decoding."""
        return TraceSettings(
            node_budgets=(self.node_budget,),
            growths=(TREE,),
            best_budget=self.oracle_budget,
            window=1,
            windows_per_family=self.oracle_contexts,
            tokens_ahead=True,
            lookahead=max(1, self.node_budget - 1),
            seed=self.seed,
        )


# A quick look: the same path through everything, about two minutes on two cores.
QUICK = DemoSettings(
    prompts_per_family=4,
    profile_tokens=48,
    batch_size=16,
    oracle_contexts=4,
    oracle_budget=24,
    decoded_prompts=1,
)


def demo_drafters(model: CausalLM) -> tuple[str, ...]:
    """Prompt lookup, and the shipped EAGLE-3 head where it fits this target; the last is the headline's."""
    return ("ngram", "eagle3") if model.name == DEFAULT_NAME else ("ngram",)


def demo_settings(model: CausalLM, *, quick: bool = False, seed: int = 0) -> DemoSettings:
    """How much the demo measures of this target, and with which drafters."""
    return replace(QUICK if quick else DemoSettings(), drafters=demo_drafters(model), seed=seed)


def run_demo(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: DemoSettings,
    folder: Path,
    command: Sequence[str],
    progress: Progress = silent,
) -> DemoRecord:
    """Measure everything the report shows. The trace stays in `folder` and is resumed."""
    clock, load = RunClock(), load_average()
    names = dict.fromkeys(prompt.family for prompt in prompts)
    by_family = {name: [prompt for prompt in prompts if prompt.family == name] for name in names}
    readings = Readings(model, _headline_layers(model, settings))
    trace = _trace(model, by_family, settings, folder / KIND, progress, readings)
    profile, budget = trace.profile, settings.node_budget
    runs = _decode_all(model, settings, by_family, progress, readings)
    times = call_times_along(model, profile, settings.oracle_budget, settings.call_rounds)
    load_of_run = machine_load(load, torch.get_num_threads())
    overall = together(runs)
    (judged,) = [run for run in overall if _is_headline(run, settings)]
    searched = search_call_starts(model, judged.decoded, budget, judged.settings.sampling, progress, readings)
    scored = {run.drafter: scored_texts(model, run, readings) for run in overall if run.temperature > 0.0}
    summaries = tuple(map(summary_of, overall))
    of_family = {item.prompt.family: item for item in reversed(judged.decoded)}  # the first of each
    return DemoRecord(
        schema=SCHEMA,
        target=model.name,
        headline=_headline(judged, searched, summaries[overall.index(judged)]),
        speed_limit=speed_limit(profile, times, judged.timed, settings.drafters),
        losses=speed_losses(model, judged, searched, scored[judged.drafter]),
        what_if=demo_what_if(profile, times, overall, judged, searched),
        limit_checks=limit_checks([(run, scored[run.drafter]) for run in overall if run.temperature > 0.0]),
        decodes=tuple(
            family_decodes(profile, family, budget, settings.oracle_budget) for family in profile.families
        ),
        profiles=tuple(family_profile(profile, family) for family in profile.families),
        limits=_limits(trace, progress),
        overall_limits=overall_limits(trace),
        at_call_starts=tuple(call_start_limit(name, searched, budget) for name in by_family),
        at_uniform_starts=tuple(
            uniform_start_limit(name, trace, judged.drafter, budget) for name in (ALL_FAMILIES, *by_family)
        ),
        decodings=tuple(map(summary_of, runs)),
        overall=summaries,
        prompt_totals=_prompt_totals(overall, summaries, judged, searched),
        examples=tuple(_example(of_family[name]) for name in by_family),
        load=load_of_run,
        provenance=provenance(model, prompts, command, settings.seed, clock),
    )


def _trace(
    model: CausalLM,
    by_family: Mapping[str, list[Prompt]],
    settings: DemoSettings,
    folder: Path,
    progress: Progress,
    readings: Readings,
) -> Trace:
    """Everything that is known of target and headline's drafter without decoding."""
    prompts = tuple(p for family in by_family.values() for p in family[: settings.prompts_per_family])
    run_profile(model, prompts, settings.texts, folder / TEXTS, progress, readings=readings)
    drafters = (ComparedDrafter(settings.headline_drafter),)
    return run_trace(model, drafters, settings.trace, folder, progress, readings)


def _headline_layers(model: CausalLM, settings: DemoSettings) -> tuple[int, ...]:
    """Those whose states the traced drafter asks for, to be kept when the prompts are read for sampling."""
    return law_source(ComparedDrafter(settings.headline_drafter).choice, model).hidden_layers


def _limits(trace: Trace, progress: Progress) -> tuple[FamilyLimits, ...]:
    limits: list[FamilyLimits] = []
    for number, family in enumerate(trace.families):
        limits.append(family_limits(trace.profile, trace, family))
        progress(number + 1, len(trace.families), "limits over node budgets")
    return tuple(limits)


def _decode_all(
    model: CausalLM,
    settings: DemoSettings,
    by_family: Mapping[str, list[Prompt]],
    progress: Progress,
    readings: Readings,
) -> list[DrafterRun]:
    """Family by family, and at each temperature every drafter."""
    runs = [
        run
        for temperature in TEMPERATURES
        for run in _decode(model, settings, by_family, temperature, progress, readings)
    ]
    return sorted(runs, key=lambda run: list(by_family).index(run.family))


def _decode(
    model: CausalLM,
    settings: DemoSettings,
    by_family: Mapping[str, list[Prompt]],
    temperature: float,
    progress: Progress,
    readings: Readings,
) -> Iterator[DrafterRun]:
    """All families at one temperature, by every drafter, in turn with plain decoding."""
    decode_settings = DecodeSettings(
        node_budget=settings.node_budget,
        max_tokens=settings.decoded_tokens,
        seed=settings.seed,
        sampling=SamplingSettings(temperature),
        record_target_log_probs=True,
        record_expected_tokens=True,
    )
    is_headline = temperature == HEADLINE_TEMPERATURE
    count = settings.decoded_prompts if is_headline else settings.greedy_prompts
    rounds = settings.timing_rounds if is_headline else 1
    prompts = [prompt for members in by_family.values() for prompt in members[:count]]
    found = time_in_turn(model, prompts, settings.drafters, RULE, decode_settings, rounds, progress, readings)
    for family, members in by_family.items():
        ids = {prompt.prompt_id for prompt in members}
        plain = [item for item in found.decoded[OWN_LOOP] if item.prompt.family == family]
        for drafter in settings.drafters:
            decoded = [item for item in found.decoded[drafter] if item.prompt.family == family]
            yield DrafterRun(
                family=family,
                settings=decode_settings,
                drafter=drafter,
                rule=RULE,
                decoded=tuple(decoded),
                plain=tuple(plain),
                timed=tuple(item for item in found.timed if item.prompt_id in ids),
                divergences=greedy_divergences(model, decoded, plain) if temperature == 0.0 else None,
            )


def _is_headline(run: DrafterRun, settings: DemoSettings) -> bool:
    return (run.drafter, run.temperature) == (settings.headline_drafter, HEADLINE_TEMPERATURE)


def _headline(run: DrafterRun, searched: Sequence[SearchedPrompt], summary: DecodingSummary) -> Headline:
    """Drafter and oracle at the same starts: those of the drafter's own calls at temperature 1."""
    found = call_start_limit(ALL_FAMILIES, searched, run.node_budget)
    return Headline(
        drafter=run.drafter,
        drafter_choice=DRAFTER_CHOICE,
        rule=run.rule,
        node_budget=run.node_budget,
        temperature=run.temperature,
        starts=found.starts,
        expected_tokens_per_call=found.expected_tokens_per_call,
        measured_tokens_per_call=summary.tokens_per_call,
        limit_tokens_per_call=found.limit_tokens_per_call,
        share_of_limit=found.share_of_limit,
        speed_up=summary.speed_up,
    )


def _prompt_totals(
    runs: Sequence[DrafterRun],
    summaries: Sequence[DecodingSummary],
    judged: DrafterRun,
    searched: Sequence[SearchedPrompt],
) -> tuple[PromptTotals, ...]:
    limits = [sum(item.limits) for item in searched]
    return tuple(
        row
        for run, summary in zip(runs, summaries, strict=True)
        for row in totals_by_prompt(
            run, summary.speed_up.against, limits if run is judged else [None] * len(run.decoded)
        )
    )


def _example(decoded: DecodedPrompt) -> Example:
    return Example(
        family=decoded.prompt.family,
        prompt=decoded.prompt.turns[decoded.asked.turn - 1][:EXAMPLE_CHARACTERS],
        text=decoded.generation.text[:EXAMPLE_CHARACTERS],
        temperature=1.0,
        tokens=len(decoded.generation.token_ids),
        calls=len(decoded.generation.calls),
    )
