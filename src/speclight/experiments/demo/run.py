"""The main job: profile, limits, oracle and decoding of one target, gathered into one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch

from speclight.checks import check_whole_numbers
from speclight.decoding.decode import DecodeSettings
from speclight.errors import InvalidInput
from speclight.experiments.demo.call_starts import call_start_limit
from speclight.experiments.demo.decode_limits import (
    call_times_along,
    family_decodes,
    limit_checks,
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
from speclight.experiments.demo.waterfall import speed_losses
from speclight.experiments.demo.what_if import demo_what_if
from speclight.measure.decoded_run.call_starts import SearchedPrompt, search_call_starts
from speclight.measure.decoded_run.decoding import OWN_LOOP, DecodedPrompt, greedy_divergences
from speclight.measure.decoded_run.timing import time_in_turn
from speclight.measure.machine_load import load_average, machine_load
from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile import Profile, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.provenance import RunClock, provenance
from speclight.measure.trace.record import Trace
from speclight.models.causal_lm import CausalLM
from speclight.models.default_target import DEFAULT_NAME
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
# All families' texts in one batch: 64 rows cost little more than twice what 16 do.
PROFILE_BATCH = 64


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How much to measure.

    prompts_per_family: for the profile. profile_tokens: length limit of a profiled text; the oracle's starts
    need oracle_budget - 1 further tokens. oracle_contexts: per family. decoded_prompts: per family, each
    decoded for decoded_tokens at temperature 0 and 1. timing_rounds: how often drafted and plain decoding
    take turns on each prompt at the headline's temperature; at the other one, once. call_rounds: how often a
    target call of each size is timed. drafters, node_budget: of the decoding runs; the last drafter is the
    headline's.
    """

    prompts_per_family: int = 10
    profile_tokens: int = 80
    oracle_contexts: int = 6
    oracle_budget: int = 64
    decoded_prompts: int = 2
    decoded_tokens: int = 16
    timing_rounds: int = 1
    call_rounds: int = 5
    node_budget: int = 8
    drafters: tuple[str, ...] = ("ngram",)
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_numbers(
            self, "prompts_per_family", "oracle_contexts", "decoded_prompts", "decoded_tokens"
        )
        check_whole_numbers(self, "timing_rounds", "call_rounds")
        if self.profile_tokens < self.oracle_budget:
            raise InvalidInput(
                f"profiled texts of {self.profile_tokens} tokens hold no start for an oracle of "
                f"{self.oracle_budget} nodes; profile at least that many tokens"
            )


# A quick look: the same path through everything, about a minute on two cores.
QUICK = DemoSettings(
    prompts_per_family=4,
    profile_tokens=48,
    oracle_contexts=4,
    oracle_budget=24,
    decoded_prompts=1,
    decoded_tokens=16,
    call_rounds=3,
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
    """Measure everything the report shows. Records of profile and oracle stay in `folder` and are resumed."""
    clock, load = RunClock(), load_average()
    names = dict.fromkeys(prompt.family for prompt in prompts)
    by_family = {name: [prompt for prompt in prompts if prompt.family == name] for name in names}
    profile, oracle = _profile_and_oracle(model, by_family, settings, folder, progress)
    runs = _decode_all(model, settings, by_family, progress)
    times = call_times_along(model, profile, settings.oracle_budget, settings.call_rounds)
    load_of_run = machine_load(load, torch.get_num_threads())
    overall = together(runs)
    (judged,) = [run for run in overall if _is_headline(run, settings)]
    searched = search_call_starts(
        model, judged.decoded, settings.node_budget, judged.settings.sampling, progress
    )
    summaries = tuple(map(summary_of, overall))
    of_family = {item.prompt.family: item for item in reversed(judged.decoded)}  # the first of each
    return DemoRecord(
        schema=SCHEMA,
        target=model.name,
        headline=_headline(judged, searched, summaries[overall.index(judged)]),
        speed_limit=speed_limit(profile, times, judged.timed, settings.drafters),
        losses=speed_losses(model, judged, searched),
        what_if=demo_what_if(profile, times, overall, judged, searched),
        limit_checks=limit_checks(model, overall),
        decodes=tuple(family_decodes(profile, family, settings.oracle_budget) for family in profile.families),
        profiles=tuple(family_profile(profile, family) for family in profile.families),
        limits=_limits(profile, oracle, progress),
        overall_limits=overall_limits(oracle),
        at_call_starts=tuple(call_start_limit(name, searched, settings.node_budget) for name in by_family),
        decodings=tuple(map(summary_of, runs)),
        overall=summaries,
        prompt_totals=_prompt_totals(overall, summaries, judged, searched),
        examples=tuple(_example(of_family[name]) for name in by_family),
        load=load_of_run,
        provenance=provenance(model, prompts, command, settings.seed, clock),
    )


def _profile_and_oracle(
    model: CausalLM,
    by_family: Mapping[str, list[Prompt]],
    settings: DemoSettings,
    folder: Path,
    progress: Progress,
) -> tuple[Profile, Trace]:
    profiled = tuple(p for family in by_family.values() for p in family[: settings.prompts_per_family])
    profile = run_profile(
        model,
        profiled,
        ProfileSettings(max_tokens=settings.profile_tokens, batch_size=PROFILE_BATCH, seed=settings.seed),
        folder / "profile",
        progress,
    )
    return profile, run_oracle(
        model,
        profile,
        OracleSettings(settings.oracle_contexts, settings.oracle_budget, settings.seed),
        folder / "oracle",
        progress,
    )


def _limits(profile: Profile, oracle: Trace, progress: Progress) -> tuple[FamilyLimits, ...]:
    limits: list[FamilyLimits] = []
    for number, family in enumerate(profile.families):
        limits.append(family_limits(profile, oracle, family))
        progress(number + 1, len(profile.families), "limits over node budgets")
    return tuple(limits)


def _decode_all(
    model: CausalLM, settings: DemoSettings, by_family: Mapping[str, list[Prompt]], progress: Progress
) -> list[DrafterRun]:
    runs: list[DrafterRun] = []
    cells = list(product(by_family, TEMPERATURES))
    for number, (family, temperature) in enumerate(cells):
        members = by_family[family][: settings.decoded_prompts]
        runs += _decode(model, settings, family, members, temperature)
        progress(number + 1, len(cells), "decoding, in turn with plain decoding")
    return runs


def _decode(
    model: CausalLM, settings: DemoSettings, family: str, prompts: Sequence[Prompt], temperature: float
) -> list[DrafterRun]:
    """One family at one temperature, by every drafter, in turn with plain decoding."""
    decode_settings = DecodeSettings(
        node_budget=settings.node_budget,
        max_tokens=settings.decoded_tokens,
        seed=settings.seed,
        sampling=SamplingSettings(temperature),
        record_target_log_probs=True,
        record_expected_tokens=True,
    )
    rounds = settings.timing_rounds if temperature == HEADLINE_TEMPERATURE else 1
    found = time_in_turn(model, prompts, settings.drafters, RULE, decode_settings, rounds)
    plain = found.decoded[OWN_LOOP]
    return [
        DrafterRun(
            family=family,
            settings=decode_settings,
            drafter=drafter,
            rule=RULE,
            decoded=tuple(found.decoded[drafter]),
            plain=tuple(plain),
            timed=found.timed,
            divergences=(
                greedy_divergences(model, found.decoded[drafter], plain) if temperature == 0.0 else None
            ),
        )
        for drafter in settings.drafters
    ]


def _is_headline(run: DrafterRun, settings: DemoSettings) -> bool:
    return (run.drafter, run.temperature) == (settings.drafters[-1], HEADLINE_TEMPERATURE)


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
