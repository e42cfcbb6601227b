"""The main job: profile, limits, oracle and decoding of one target, gathered into one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from speclight.checks import check_whole_numbers
from speclight.decoding.decode import DecodeSettings
from speclight.errors import InvalidInput
from speclight.experiments.demo.decode_limits import call_times_along, family_decodes, speed_limit
from speclight.experiments.demo.decoding import (
    OWN_LOOP,
    PLAIN_DECODERS,
    DecodedPrompt,
    greedy_divergences,
    summarise,
)
from speclight.experiments.demo.family_profiles import family_profile
from speclight.experiments.demo.limit_curves import family_limits
from speclight.experiments.demo.record import (
    SCHEMA,
    DecodingSummary,
    DemoRecord,
    Example,
    FamilyLimits,
    Headline,
)
from speclight.experiments.demo.timing import time_in_turn
from speclight.measure.estimates import mean_over, ratio_of_totals, within
from speclight.measure.machine_load import load_average, machine_load
from speclight.measure.oracle_run import OracleRecord, OracleSettings, run_oracle
from speclight.measure.paired_times import TimedPrompt, speed_up
from speclight.measure.profile import Profile, ProfileSettings, run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.provenance import RunClock, provenance
from speclight.measure.true_limit import oracle_contexts
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

    prompts_per_family: int = 16
    profile_tokens: int = 112
    oracle_contexts: int = 12
    oracle_budget: int = 64
    decoded_prompts: int = 2
    decoded_tokens: int = 48
    timing_rounds: int = 2
    call_rounds: int = 9
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
    profiled = tuple(p for family in by_family.values() for p in family[: settings.prompts_per_family])
    profile = run_profile(
        model,
        profiled,
        ProfileSettings(max_tokens=settings.profile_tokens, seed=settings.seed),
        folder / "profile",
        progress,
    )
    oracle = run_oracle(
        model,
        profile,
        OracleSettings(settings.oracle_contexts, settings.oracle_budget, settings.seed),
        folder / "oracle",
        progress,
    )
    decoding = _Decoding(model, settings, progress, 2 * len(by_family) * len(settings.drafters))
    for family, members in by_family.items():
        for temperature in TEMPERATURES:
            decoding.run(family, members[: settings.decoded_prompts], temperature)
    times = call_times_along(model, profile, settings.oracle_budget, settings.call_rounds)
    load_of_run = machine_load(load, torch.get_num_threads())
    examples = decoding.sampled[settings.drafters[-1]]
    return DemoRecord(
        schema=SCHEMA,
        target=model.name,
        headline=_headline(model, settings, decoding, progress),
        speed_limit=speed_limit(profile, times, decoding.timed, settings.drafters),
        decodes=tuple(family_decodes(profile, family, settings.oracle_budget) for family in profile.families),
        profiles=tuple(family_profile(profile, family) for family in profile.families),
        limits=_limits(profile, oracle, progress),
        decodings=tuple(decoding.summaries),
        examples=tuple(_example(decoded) for decoded in examples[:: settings.decoded_prompts]),
        load=load_of_run,
        provenance=provenance(model, prompts, command, settings.seed, clock),
    )


def _limits(profile: Profile, oracle: OracleRecord, progress: Progress) -> tuple[FamilyLimits, ...]:
    limits: list[FamilyLimits] = []
    for number, family in enumerate(profile.families):
        limits.append(family_limits(profile, oracle, family))
        progress(number + 1, len(profile.families), "limits over node budgets")
    return tuple(limits)


class _Decoding:
    """Decodes family by family with every drafter and without, and keeps what later parts need."""

    def __init__(self, model: CausalLM, settings: DemoSettings, progress: Progress, steps: int) -> None:
        self.summaries: list[DecodingSummary] = []
        # at the headline's temperature: the runs per drafter, and all times
        self.sampled: dict[str, list[DecodedPrompt]] = {name: [] for name in settings.drafters}
        self.timed: list[TimedPrompt] = []
        self._model, self._settings = model, settings
        self._progress, self._steps = progress, steps

    def run(self, family: str, prompts: Sequence[Prompt], temperature: float) -> None:
        """One family at one temperature: our plain loop, every drafter, and Transformers' generate."""
        decode_settings = DecodeSettings(
            node_budget=self._settings.node_budget,
            max_tokens=self._settings.decoded_tokens,
            seed=self._settings.seed,
            sampling=SamplingSettings(temperature),
            record_target_log_probs=True,
        )
        of_headline = temperature == HEADLINE_TEMPERATURE
        rounds = self._settings.timing_rounds if of_headline else 1
        drafters = self._settings.drafters
        found = time_in_turn(self._model, prompts, drafters, RULE, decode_settings, rounds)
        if of_headline:
            self.timed += found.timed
        for drafter in drafters:
            decoded = found.decoded[drafter]
            divergences = (
                greedy_divergences(self._model, decoded, found.decoded[OWN_LOOP])
                if temperature == 0.0
                else None
            )
            if of_headline:
                self.sampled[drafter] += decoded
            self.summaries.append(
                summarise(family, decode_settings, drafter, RULE, decoded, found.timed, divergences)
            )
            self._progress(len(self.summaries), self._steps, "decoding, in turn with plain decoding")


def _headline(model: CausalLM, settings: DemoSettings, decoding: _Decoding, progress: Progress) -> Headline:
    """Drafter and oracle at the same starts: those of the drafter's own calls at temperature 1."""
    drafter = settings.drafters[-1]
    names: list[str] = []
    expected: list[float] = []
    measured: list[int] = []
    best: list[float] = []
    for number, decoded in enumerate(decoding.sampled[drafter]):
        calls = decoded.generation.calls
        token_ids = [*decoded.prompt_ids, *decoded.generation.token_ids]
        contexts = oracle_contexts(
            model, token_ids, [call.start - 1 for call in calls], settings.node_budget, SamplingSettings(1.0)
        )
        names += [decoded.prompt.prompt_id] * len(calls)
        expected += [call.expected_tokens for call in calls]
        measured += [call.tokens_emitted for call in calls]
        best += [context.tokens_per_call(settings.node_budget) for context in contexts]
        progress(number + 1, len(decoding.sampled[drafter]), "oracle at the drafter's own call starts")
    return Headline(
        drafter=drafter,
        drafter_choice=DRAFTER_CHOICE,
        rule=RULE,
        node_budget=settings.node_budget,
        temperature=HEADLINE_TEMPERATURE,
        starts=len(names),
        expected_tokens_per_call=within(mean_over(names, expected), 1.0, float(settings.node_budget)),
        measured_tokens_per_call=ratio_of_totals(names, measured, [1.0] * len(names)),
        limit_tokens_per_call=within(mean_over(names, best), 1.0, float(settings.node_budget)),
        share_of_limit=within(ratio_of_totals(names, expected, best), 0.0, 1.0),
        speed_up=speed_up(decoding.timed, drafter, PLAIN_DECODERS),
    )


def _example(decoded: DecodedPrompt) -> Example:
    return Example(
        family=decoded.prompt.family,
        prompt=decoded.prompt.turns[0][:EXAMPLE_CHARACTERS],
        text=decoded.generation.text[:EXAMPLE_CHARACTERS],
        temperature=1.0,
        tokens=len(decoded.generation.token_ids),
        calls=len(decoded.generation.calls),
    )
