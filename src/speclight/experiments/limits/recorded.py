"""Whatever was recorded, beside what bounds it: decodes below the decode bound, samples below the coupling's.

Records alone are read, no model: a decode's own texts bound it where their log-probabilities were kept, else
those of the profile whose prompts it decoded. Above its limit lies only a bug, in the decode or in the bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from speclight.advice.score import score
from speclight.advice.traced_calls import Choice
from speclight.errors import InvalidInput, StorageError
from speclight.experiments.limits.claims import cut_at
from speclight.measure.decoded_run.tables import KIND as DECODED_RUN
from speclight.measure.decoded_run.tables import read_decoded_run
from speclight.measure.estimates import mean_over
from speclight.measure.oracle_decode import KIND as ORACLE_DECODE
from speclight.measure.oracle_decode import recorded_calls
from speclight.measure.plan import PLAN_NAME
from speclight.measure.profile import Profile, read_profile
from speclight.measure.run_checks import FALSE_ALARM
from speclight.measure.store import is_recorded, read_plan, read_table
from speclight.measure.trace.record import KIND as TRACE
from speclight.measure.trace.record import Trace, read_trace
from speclight.measure.trace.sampled_names import SAMPLED_RULES
from speclight.measure.trace.settings import CHAIN
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.laws.sampled_text import SampledText

SCORE_TEST = "score test"
DECODE, COUPLING, BEST_TREE = "decode bound", "coupling bound", "best tree"
ROUNDING_RTOL = 1e-9
# Decodes whose records hold no log-probabilities: the commands that made them check them with the target.
CHECKED_AS_THEY_RUN = {
    "drafted texts": "compare-drafters checks it with the target; repeat that command over this folder",
    "race-ranks": "race-vs-rejection checks it text by text; repeat that command over this folder",
    "race-trees": "race-vs-rejection compares its rules; bounds of random trees need what was not recorded",
}


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """One decode or draft of a record beside its limit, in tokens per call.

    record: its folder. what: drafter, tree and rule. limit: value of the statement named in `bound`. upper:
    its one-sided upper confidence limit, by prompt: 95% for the decode bound, 1 - FALSE_ALARM for the paired
    difference to the coupling bound; a best tree is exact, start by start.
    """

    record: str
    what: str
    bound: str
    node_budget: int
    prompts: int
    reached: float
    limit: float
    upper: float

    @property
    def exceeds(self) -> bool:
        """Whether even the upper confidence limit is exceeded."""
        return self.reached > self.upper * (1.0 + ROUNDING_RTOL)


@dataclass(frozen=True, slots=True)
class UncheckedRecord:
    """A record of decodes or drafts that could not be checked, and why."""

    record: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedLimits:
    """Everything found below some folders."""

    checks: tuple[RecordCheck, ...]
    unchecked: tuple[UncheckedRecord, ...]

    @property
    def exceeding(self) -> tuple[RecordCheck, ...]:
        """What cannot be."""
        return tuple(check for check in self.checks if check.exceeds)


def check_records(folders: Sequence[Path]) -> RecordedLimits:
    """Check every finished record below the folders. Raises InvalidInput if none holds a record."""
    found = [plan.parent for folder in folders for plan in sorted(folder.rglob(PLAN_NAME))]
    if not found:
        raise InvalidInput(
            f"{', '.join(map(str, folders))} holds no {PLAN_NAME}; give folders that commands recorded into"
        )
    checks: list[RecordCheck] = []
    unchecked: list[UncheckedRecord] = []
    profiles = _Profiles(found)
    for folder in dict.fromkeys(found):
        kind = "unknown"
        try:
            kind = str(read_plan(folder).get("kind"))
            if kind in CHECKED_AS_THEY_RUN:
                raise StorageError(CHECKED_AS_THEY_RUN[kind])
            if kind in _READERS:
                checks += _READERS[kind](folder, profiles)
        except (InvalidInput, StorageError) as error:
            unchecked.append(UncheckedRecord(folder.name, kind, str(error)))
    return RecordedLimits(tuple(checks), tuple(unchecked))


class _Profiles:
    """The profiles below the folders given, for decodes that kept no log-probabilities of their own."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def with_texts(self, plan: Mapping[str, Any], sampling: Mapping[str, Any]) -> Profile:
        """One of the same weights and sampling that holds all texts which the plan names.

        Raises StorageError if there is none.
        """
        for folder in self._folders:
            other = read_plan(folder)
            same = other.get("kind") == "profile" and other["weights_sha256"] == plan["weights_sha256"]
            if same and other["settings"]["sampling"] == sampling:
                profile = read_profile(folder)
                if {tuple(key) for key in plan["texts"]} <= {text.key for text in profile.texts}:
                    return profile
        raise StorageError(
            "none of the folders holds the profile whose prompts it decoded; name that one (or its trace) too"
        )


def _decoded_run(folder: Path, profiles: _Profiles) -> Iterator[RecordCheck]:
    plan = read_plan(folder)
    run = read_decoded_run(folder)
    what = f"{run.drafter}, {run.tree}, {run.rule}"
    if plan["kind_of_drafts"] != "deterministic":
        raise StorageError(
            f"{what} drafts samples: the coupling bound needs the drafter's law along the whole text, which "
            "traces with sampled drafts hold: trace these"
        )
    texts = [text.sampled for text in run.texts]
    calls = sum(len(text.calls) for text in run.texts)
    yield _beside_decode_bound(folder, what, texts, run.settings.node_budget, calls)


def _beside_decode_bound(
    folder: Path, what: str, texts: Sequence[SampledText], node_budget: int, calls: int
) -> RecordCheck:
    """Texts as decoded, their calls counted to the end."""
    bound = decode_bound(texts, node_budget)
    reached, held = bound.tokens / calls, bound.held
    return RecordCheck(folder.name, what, DECODE, node_budget, bound.prompts, reached, held.value, held.upper)


def _oracle_decode(folder: Path, profiles: _Profiles) -> Iterator[RecordCheck]:
    texts_folder = folder.with_name(folder.name.removesuffix("-decode") + "-texts")
    if texts_folder == folder or not (texts_folder / PLAN_NAME).is_file():
        raise StorageError(f"the profile of its texts is not at {texts_folder.name} beside it")
    plan, profile = read_plan(folder), read_profile(texts_folder)
    texts = {(text.prompt_id, text.sample, text.turn): text for text in profile.texts}
    for budget in plan["node_budgets"]:
        calls = [call for call in recorded_calls(folder) if call.node_budget == budget]
        decoded = list(dict.fromkeys((call.prompt_id, call.sample, call.turn) for call in calls))
        if not decoded:
            raise StorageError("no text was decoded yet; repeat the command that made it")
        cut = [
            cut_at(
                SampledText(-texts[key].log_probs, texts[key].ended, key[0]),
                plan["starts_below"],
            )
            for key in decoded
        ]
        yield _beside_decode_bound(folder, "oracle, best_first, target_sample", cut, budget, len(calls))


def _score_test(folder: Path, profiles: _Profiles) -> Iterator[RecordCheck]:
    plan = read_plan(folder)
    profile = profiles.with_texts(plan, plan["sampling"])
    texts = [text for family in profile.families for text in profile.sampled_texts(family)]
    decoded = False
    for number, configuration in enumerate(plan["configurations"]):
        unit, stated = f"configuration-{number:03d}", re.fullmatch(r"(.*), P = (\d+)", configuration)
        if stated is None or not is_recorded(folder, unit):
            continue
        decoded = True
        table, bound = read_table(folder, unit), decode_bound(texts, int(stated[2])).going_on
        reached = float(np.sum(table["tokens"].to_numpy()) / np.sum(table["calls"].to_numpy()))
        prompts = len(set(table["prompt_id"].to_pylist()))
        budget = int(stated[2])
        yield RecordCheck(folder.name, stated[1], DECODE, budget, prompts, reached, bound.value, bound.upper)
    if not decoded:
        raise StorageError("no configuration was decoded yet; repeat the command that made it")


def _trace(folder: Path, profiles: _Profiles) -> Iterator[RecordCheck]:
    trace = read_trace(folder)
    if not trace.drafters:  # the target's own best trees alone: nothing was drafted
        return
    texts = [text for family in trace.profile.families for text in trace.profile.sampled_texts(family)]
    budgets = trace.node_budgets
    bounds = {budget: decode_bound(texts, budget).going_on for budget in budgets}
    for found in score(trace.starts, "target_sample", Choice(node_budgets=budgets)):
        of = found.configuration
        what, budget = f"{of.drafter}, {of.growth}, {of.rule}", of.node_budget
        if of.rule in SAMPLED_RULES or budget not in bounds:
            continue
        if found.decode is not None:
            bound, prompts = bounds[budget], found.decode.clusters
            yield RecordCheck(
                folder.name, what, DECODE, budget, prompts, found.decode.value, bound.value, bound.upper
            )
        reached, best = found.tokens_per_call.value, found.best_tree
        yield RecordCheck(folder.name, what, BEST_TREE, budget, found.uniform.clusters, reached, best, best)
    yield from _sampled_chains(folder, trace)


def _sampled_chains(folder: Path, trace: Trace) -> Iterator[RecordCheck]:
    """Chains of samples, their coins or races averaged, paired start by start with the coupling bound."""
    for drafter in trace.drafters:
        values: dict[tuple[str, int], dict[int, list[float]]] = {}
        for place, start in enumerate(trace.starts):
            for value in start.drafters[drafter].sampled:
                long_enough = len(start.drafters[drafter].coupling) >= value.node_budget - 1
                if value.tree == CHAIN and long_enough:
                    of_start = values.setdefault((value.rule, value.node_budget), {})
                    of_start.setdefault(place, []).append(value.expected_tokens)
        for (rule, budget), by_start in values.items():
            prompts = [trace.starts[place].prompt_id for place in by_start]
            reached = [float(np.mean(tokens)) for tokens in by_start.values()]
            most = [
                1.0 + float(trace.starts[place].drafters[drafter].coupling[: budget - 1].sum())
                for place in by_start
            ]
            gap = mean_over(prompts, (np.array(most) - np.array(reached)).tolist())
            if gap.standard_error is None:
                continue
            quantile = float(stats.t.ppf(1.0 - FALSE_ALARM, gap.clusters - 1))
            limit = float(np.mean(most))
            yield RecordCheck(
                folder.name,
                f"{drafter}, {CHAIN}, {rule}",
                COUPLING,
                budget,
                gap.clusters,
                float(np.mean(reached)),
                limit,
                limit + quantile * gap.standard_error,
            )


_READERS: dict[str, Callable[[Path, _Profiles], Iterator[RecordCheck]]] = {
    DECODED_RUN: _decoded_run,
    ORACLE_DECODE: _oracle_decode,
    SCORE_TEST: _score_test,
    TRACE: _trace,
}
