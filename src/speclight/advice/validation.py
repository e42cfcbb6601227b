"""Predictions held against decoding: the configurations of a plan and plain decoding, timed in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.advice.configuration import Configuration
from speclight.advice.plan import PLAIN, Plan
from speclight.advice.prediction import Prediction
from speclight.advice.products_of_totals import ProductOfTotals
from speclight.advice.validation_settings import ValidationSettings
from speclight.arrays import FloatArray
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.decoding.settings import AUTO, DecodeSettings
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, ratio_of_totals
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.paired_times import SpeedVerdict, interleaved, verdict_of
from speclight.measure.plan import run_plan
from speclight.measure.provenance import machine_class
from speclight.measure.store import RecordFolder, read_table, recording
from speclight.measure.trace.record import Trace
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.verification.rule import default_kind
from speclight.verification.rules import rule_named

KIND = "plan held against decoding"
WARM_UP_TOKENS = 4
PHASES = ("target", "draft", "loop")
_NamedPrompt = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ValidationCase:
    """Configurations of one plan, all decoded on the prompts of some families.

    name: of the family, or of the mix. plan: of single texts. chosen: of its predictions, drafting ones.
    """

    name: str
    families: tuple[str, ...]
    plan: Plan
    chosen: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class Validated:
    """One configuration as predicted and as measured.

    speed_up: over plain decoding in the same loop, measured, totals over totals; expected_speed_up:
    predicted. tokens_per_call: measured. Both count accepted drafts and one a call, those behind the length
    limit included, which a longer text emits; intervals are clustered by prompt. seconds: of a call, by the
    names of PHASES; plain_seconds: of a plain one.
    """

    case: str
    prediction: Prediction
    expected_speed_up: Estimate
    speed_up: Estimate
    tokens_per_call: Estimate
    seconds: Mapping[str, float]
    plain_seconds: Mapping[str, float]

    @property
    def agreement(self) -> float:
        """Measured speed-up over the predicted one."""
        return self.speed_up.value / self.expected_speed_up.value

    @property
    def verdict(self) -> SpeedVerdict:
        """Whether it is faster than plain decoding."""
        return verdict_of(self.speed_up)

    @property
    def tokens_agree(self) -> bool | None:
        """Whether measured tokens per call lie in their own interval around the prediction."""
        found = self.tokens_per_call
        if found.low is None or found.high is None:
            return None
        return found.low <= self.prediction.tokens_per_call <= found.high


def validate(
    model: CausalLM,
    trace: Trace,
    times: LatencyRecord,
    cases: Sequence[ValidationCase],
    drafters: Mapping[str, ComparedDrafter],
    settings: ValidationSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[Validated, ...]:
    """Decode prompts of the trace with each configuration and plainly, in turn, every text from its own seed.

    A prompt of a case is the resumable unit. drafters: by the labels of the trace, with what it was made
    from. Raises InvalidInput if the model is not the one traced or does not run as it was timed, and for
    plans of batches; StorageError if the folder holds another validation.
    """
    _check(model, trace, times, cases)
    prompts = [_prompts(trace, case.families, settings.prompts_per_family) for case in cases]
    plan = run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        machine=machine_class(),
        settings=asdict(settings),
        sampling=asdict(trace.sampling),
        drafters={label: drafter.plan() for label, drafter in drafters.items()},
        cases=[_case_plan(case, own) for case, own in zip(cases, prompts, strict=True)],
    )
    decoders = _Decoders(model, trace, drafters, settings)
    units = [(case, number) for case, own in enumerate(prompts) for number in range(len(own))]
    with recording(folder, plan) as records:
        for done, (case, number) in enumerate(units, start=1):
            if not records.has(_unit(case, number)):
                configurations = [PLAIN, *(found.configuration for found in cases[case].chosen)]
                table = decoders.in_turn(configurations, prompts[case][number][1], number)
                records.write(_unit(case, number), table)
            progress(done, len(units), "prompts decoded in turn")
        return tuple(
            each
            for place, (case, own) in enumerate(zip(cases, prompts, strict=True))
            for each in _validated(case, place, [name for name, _ in own], records)
        )


def _case_plan(case: ValidationCase, prompts: Sequence[_NamedPrompt]) -> dict[str, object]:
    """What identifies its decodes."""
    return {
        "name": case.name,
        "prompts": [name for name, _ in prompts],
        "configurations": [str(found.configuration) for found in case.chosen],
    }


class _Decoders:
    """Decodes one prompt by several configurations, each of them made once."""

    def __init__(
        self,
        model: CausalLM,
        trace: Trace,
        drafters: Mapping[str, ComparedDrafter],
        settings: ValidationSettings,
    ) -> None:
        self._model, self._sampling, self._drafters = model, trace.sampling, drafters
        self._settings = settings
        self._decoder = cache(self._made)
        self._met: set[Configuration] = set()

    def in_turn(self, configurations: Sequence[Configuration], ids: Sequence[int], number: int) -> pa.Table:
        """A row for each configuration and round."""
        for told in configurations:
            if told not in self._met:  # the first call of all takes longer
                self._decoder(told)(ids, WARM_UP_TOKENS, self._settings.seed)
                self._met.add(told)
        seed, most = self._settings.seed + number, self._settings.max_tokens
        made = {str(told): partial(self._decoder(told), ids, most, seed) for told in configurations}
        rounds = interleaved(made, self._settings.rounds, backwards=number % 2 == 1)
        return pa.Table.from_pylist(
            [
                {"configuration": name, "round": place, **_totals(generation)}
                for place, runs in enumerate(rounds)
                for name, generation in runs.items()
            ]
        )

    def _made(self, told: Configuration) -> Callable[[Sequence[int], int, int], Generation]:
        rule = rule_named("target_sample" if told.is_plain else told.rule)
        tree = None if told.is_plain else read_tree(told.growth, default_kind(rule))
        choice = (ComparedDrafter(told.drafter) if told.is_plain else self._drafters[told.drafter]).choice
        drafter = drafter_for(self._model, choice, rule, self._sampling, tree)
        settings = DecodeSettings(AUTO if told.is_auto else told.node_budget, sampling=self._sampling)

        def decode(ids: Sequence[int], max_tokens: int, seed: int) -> Generation:
            own = replace(settings, max_tokens=max_tokens, seed=seed)
            return generate_from_ids(self._model, list(ids), drafter, rule, own)

        return decode


def _totals(made: Generation) -> dict[str, float]:
    calls = made.calls
    return {
        "calls": len(calls),
        "accepted": sum(len(call.path) for call in calls),
        "emitted": len(made.token_ids),
        "target": sum(call.seconds.target for call in calls),
        "draft": sum(call.seconds.draft for call in calls),
        "loop": sum(call.seconds.verify + call.seconds.commit for call in calls),
    }


def _unit(case: int, prompt: int) -> str:
    return f"case-{case:02d}-prompt-{prompt:04d}"


def _prompts(trace: Trace, families: Sequence[str], per_family: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and token ids of the first prompts of each of these families, their first turns."""
    found: dict[str, dict[str, tuple[int, ...]]] = {family: {} for family in families}
    for text in trace.profile.texts:
        of_family = found.get(text.family)
        if of_family is not None and text.turn == 1 and len(of_family) < per_family:
            of_family.setdefault(text.prompt_id, text.prompt_token_ids)
    return [prompt for of_family in found.values() for prompt in of_family.items()]


def _validated(
    case: ValidationCase, place: int, names: Sequence[str], records: RecordFolder
) -> list[Validated]:
    tables = [read_table(records.folder, _unit(place, number)).to_pylist() for number in range(len(names))]

    def total(told: Configuration, column: str) -> FloatArray:
        """[prompts] over all rounds."""
        return np.array(
            [
                float(sum(row[column] for row in table if row["configuration"] == str(told)))
                for table in tables
            ]
        )

    def phases(told: Configuration) -> dict[str, float]:
        calls = total(told, "calls").sum()
        return {phase: float(total(told, phase).sum() / calls) for phase in PHASES}

    def seconds(told: Configuration) -> FloatArray:
        return np.sum([total(told, phase) for phase in PHASES], axis=0)

    plain = total(PLAIN, "accepted"), seconds(PLAIN)
    return [
        Validated(
            case.name,
            found,
            case.plan.speed_up(found),
            ProductOfTotals((total(told, "accepted"), plain[1]), (seconds(told), plain[0])).estimate(),
            ratio_of_totals(names, total(told, "accepted").tolist(), total(told, "calls").tolist()),
            phases(told),
            phases(PLAIN),
        )
        for found in case.chosen
        for told in (found.configuration,)
    ]


def _check(model: CausalLM, trace: Trace, times: LatencyRecord, cases: Sequence[ValidationCase]) -> None:
    if model.loaded.weights_sha256 != trace.weights_sha256:
        raise InvalidInput(
            f"{model.name} has other weights than {trace.target}, which was traced; decode with that one",
            argument="target",
        )
    here = {
        "kernels": model.kernels,
        "dtype": str(model.model.dtype),
        "device": str(model.device),
        "offload": model.loaded.offload,
        "threads": torch.get_num_threads(),
    }
    for name, value in here.items():
        timed = times.plan.get(name)
        if value != timed and (timed is not None or name == "offload") and "source" not in times.plan:
            raise InvalidInput(
                f"the call times were taken with {name} {timed}, expected those of this decoding, {value}; "
                "decode as it was timed, or time anew",
                argument=name if name != "device" else "target",
            )
    for case in cases:
        if case.plan.batch_size != 1:
            raise InvalidInput(
                f"got a plan for {case.plan.batch_size} texts at once, expected one for single texts, which "
                "is what is decoded here; time calls with batch size 1 among them",
                argument="batch_sizes",
            )
