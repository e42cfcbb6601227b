"""Configurations of a trace decoded for real: is the tokens per call that a score predicts what they get?

Each configuration decodes the trace's own prompts with another seed, so that only the law of texts is common.
Calls that start within the length of the traced texts count; each text goes on a little further, so that no
such call is cut short. Prediction and measurement share their prompts, so their difference is taken prompt by
prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from speclight.advice.configuration import Configuration
from speclight.advice.start_set import StartSet, start_set
from speclight.arrays import FloatArray
from speclight.decoding.fitting_drafters import drafters_for
from speclight.decoding.generate import generate_batch_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.experiments.scores.choice import (
    CHAINS_ONLY,
    ChosenConfiguration,
    chosen_configurations,
)
from speclight.experiments.scores.settings import ScoreTestSettings
from speclight.measure.estimates import CONFIDENCE, Estimate, half_width, ratio_of_totals
from speclight.measure.plan import run_plan
from speclight.measure.profile import ProfiledText
from speclight.measure.store import read_table, recording
from speclight.measure.trace.record import Trace
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.verification.rules import rule_named

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ScoredDecode:
    """One configuration: tokens per call predicted and decoded, and their difference prompt by prompt.

    alike: other growths that draft the same trees at every start of the trace.
    """

    configuration: Configuration
    alike: tuple[str, ...]
    predicted: Estimate
    measured: Estimate
    difference: Estimate
    calls: int

    @property
    def is_inside(self) -> bool:
        """Whether 0 lies in the 95% interval of measured minus predicted."""
        low, high = self.difference.low, self.difference.high
        return low is None or high is None or low <= 0.0 <= high


@dataclass(frozen=True, slots=True)
class ScoreTest:
    """All configurations of one trace. level: of the intervals.

    distinct: how many of the decodes differ from one another in the tokens or calls of some prompt; rules
    that treat a draft's trees alike decode the same texts.
    """

    target: str
    temperature: float
    decodes: tuple[ScoredDecode, ...]
    distinct: int
    level: float = CONFIDENCE

    @property
    def outside(self) -> int:
        """How many predictions lie outside; 5% of them are expected to."""
        return sum(not found.is_inside for found in self.decodes)


def run_score_test(
    model: CausalLM,
    trace: Trace,
    drafters: Mapping[str, ComparedDrafter],
    settings: ScoreTestSettings,
    folder: Path,
    progress: Progress = silent,
) -> ScoreTest:
    """Decode configurations spread over the trace, each a unit of a resumable record.

    drafters: by the labels of the trace, with what it was made from. Raises InvalidInput for a trace of
    another target or without runs of neighbouring starts, and for rules that are lossy or verify no
    deterministic trees; StorageError if the folder holds another test.
    """
    _check_rules(settings.rules)
    _check_target(trace, model)
    starts = start_set(trace.starts)
    chosen = chosen_configurations(
        starts,
        trace.sampling.temperature,
        settings.rules,
        settings.node_budgets,
        settings.configurations,
    )
    texts = _spread(trace.profile.texts, settings.texts)
    plan = run_plan(
        "score test",
        model,
        # Rules are in the configurations.
        settings={name: value for name, value in asdict(settings).items() if name != "rules"},
        sampling=asdict(trace.sampling),
        drafters=[drafter.plan() for drafter in drafters.values()],
        texts=[list(text.key) for text in texts],
        configurations=[str(each.configuration) for each in chosen],
    )
    decodes: list[ScoredDecode] = []
    totals: set[tuple[int, ...]] = set()
    with recording(folder, plan) as records:
        for number, each in enumerate(chosen):
            unit, told = f"configuration-{number:03d}", each.configuration
            if not records.has(unit):
                records.write(unit, _decoded(model, trace, texts, told, drafters[told.drafter], settings))
            decoded = read_table(folder, unit)
            decodes.append(_beside(starts, each, decoded))
            totals.add((*decoded["tokens"].to_pylist(), *decoded["calls"].to_pylist()))
            progress(number + 1, len(chosen), "configurations decoded")
    return ScoreTest(model.name, trace.sampling.temperature, tuple(decodes), len(totals))


def _check_target(trace: Trace, model: CausalLM) -> None:
    if trace.weights_sha256 != model.loaded.weights_sha256:
        raise InvalidInput(
            f"the trace is of {trace.target}, and its weights are not those of {model.name}; load the target "
            "that was traced"
        )


def _check_rules(names: Sequence[str]) -> None:
    for name in names:
        rule = rule_named(name)
        if not rule.is_lossless or "deterministic" not in rule.draft_kinds:
            raise InvalidInput(
                f"got the rule {name!r}, expected a lossless one for deterministic trees, which are what is "
                "decoded here; leave it out",
                argument="rules",
            )
    if names and set(names) <= CHAINS_ONLY:
        raise InvalidInput(
            f"got the rules {', '.join(names)} alone, expected one that verifies trees too; add one",
            argument="rules",
        )


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """As many as asked for, evenly over the sequence."""
    kept = min(count, len(items))
    return [items[int((place + 0.5) * len(items) / kept)] for place in range(kept)]


def _decoded(
    model: CausalLM,
    trace: Trace,
    texts: Sequence[ProfiledText],
    configuration: Configuration,
    drafter: ComparedDrafter,
    settings: ScoreTestSettings,
) -> pa.Table:
    rule, most = rule_named(configuration.rule), trace.profile.settings.max_tokens
    tree = read_tree(configuration.growth, "deterministic")
    # A call emits no more tokens than its tree has nodes, so none that starts in time is cut short.
    longest = most - 1 + configuration.node_budget
    decoding = DecodeSettings(configuration.node_budget, longest, seed=settings.seed, sampling=trace.sampling)
    ids = [list(text.prompt_token_ids) for text in texts]
    drafting = drafters_for(model, drafter.choice, rule, trace.sampling, tree, len(texts))
    made = generate_batch_from_ids(model, ids, drafting, rule, decoding, settings.batch_size)
    counted = [
        [call.tokens_emitted for call in generation.calls if call.start - len(prompt) < most]
        for generation, prompt in zip(made, ids, strict=True)
    ]
    return pa.table(
        {
            "prompt_id": [text.prompt_id for text in texts],
            "tokens": pa.array([sum(tokens) for tokens in counted], pa.int32()),
            "calls": pa.array([len(tokens) for tokens in counted], pa.int32()),
        }
    )


def _beside(starts: StartSet, chosen: ChosenConfiguration, decoded: pa.Table) -> ScoredDecode:
    calls, place = chosen.draft.calls, chosen.draft.place
    weights = calls.weights[:, place]
    predicted = dict(
        zip(
            starts.prompts,
            np.stack(
                [
                    starts.by_prompt(weights * calls.expected_tokens[:, place]),
                    starts.by_prompt(weights),
                ],
                axis=1,
            ),
            strict=True,
        )
    )
    measured: dict[str, FloatArray] = {}
    for row in decoded.to_pylist():
        totals = measured.setdefault(row["prompt_id"], np.zeros(2))
        totals += (row["tokens"], row["calls"])
    return ScoredDecode(
        chosen.configuration,
        chosen.alike,
        _ratio(predicted),
        _ratio(measured),
        _difference(measured, predicted),
        int(sum(totals[1] for totals in measured.values())),
    )


def _ratio(totals: dict[str, FloatArray]) -> Estimate:
    part = {name: pair for name, pair in totals.items() if pair[1] > 0.0}
    return ratio_of_totals(
        list(part), [float(pair[0]) for pair in part.values()], [float(pair[1]) for pair in part.values()]
    )


def _difference(measured: dict[str, FloatArray], predicted: dict[str, FloatArray]) -> Estimate:
    """First ratio minus second with a 95% interval, linearised prompt by prompt: what both share cancels."""
    names = list(dict.fromkeys([*measured, *predicted]))
    value, shares = 0.0, np.zeros(len(names))
    for totals, sign in ((measured, 1.0), (predicted, -1.0)):
        pairs = np.array([totals.get(name, np.zeros(2)) for name in names])
        ratio = float(pairs[:, 0].sum() / pairs[:, 1].sum())
        value += sign * ratio
        shares += sign * (pairs[:, 0] - ratio * pairs[:, 1]) / pairs[:, 1].sum()
    count = len(names)
    if count == 1:
        return Estimate(value, None, None, None, 1)
    error = float(np.sqrt(count / (count - 1) * (shares**2).sum()))
    half = half_width(error, count)
    return Estimate(value, error, value - half, value + half, count)
