"""A made-up record with the shape of a real one. None of its numbers was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from math import log, sqrt
from typing import Any

from advice.planted_decode import BAD_DRAFTER, Faults, planted_run
from speclight.advice.waterfall import waterfall
from speclight.advice.waterfall_words import RunSetup
from speclight.decoding.call_trace import PhaseSeconds
from speclight.experiments.demo.record import (
    ALL_FAMILIES,
    SCHEMA,
    CallStartLimit,
    CallTimes,
    DecodeCheck,
    DecodeInterval,
    DecodingSummary,
    DemoRecord,
    DepthAcceptance,
    Example,
    FamilyDecodes,
    FamilyLimits,
    FamilyProfile,
    Headline,
    LimitCurve,
    PromptTotals,
    SpeedLimit,
    SpeedLosses,
)
from speclight.measure.estimates import Estimate
from speclight.measure.machine_load import MachineLoad
from speclight.measure.paired_times import SpeedUp, verdict_of
from speclight.measure.provenance import Provenance
from speclight.measure.run_checks import LimitCheck
from speclight.theory.ergodic.certificates import LowerEstimate
from speclight.theory.ergodic.least_cost import UpperEstimate
from speclight.theory.iid.leading_terms import limit
from speclight.theory.iid.upper import theorem_1
from what_if_data import made_up_what_if

BUDGETS = tuple(range(1, 65))
# family -> invented (mu, mu2), nats and nats²
MOMENTS = {
    "code": (0.71, 2.31),
    "conversation": (1.42, 5.1),
    "maths": (0.88, 2.95),
    "summarisation": (1.05, 3.62),
    "qa": (1.26, 4.4),
}
IID = ("deterministic drafting", "i.i.d. contexts")


def made_up_estimate(value: float, relative_error: float = 0.04, clusters: int = 16) -> Estimate:
    error = value * relative_error
    return Estimate(value, error, value - 2.1 * error, value + 2.1 * error, clusters)


def without_interval(estimate: Estimate) -> Estimate:
    return replace(estimate, standard_error=None, low=None, high=None, clusters=1)


def made_up_speed_up(value: float, relative_error: float = 0.04, clusters: int = 10) -> SpeedUp:
    estimate = made_up_estimate(value, relative_error, clusters)
    return SpeedUp(estimate, verdict_of(estimate), "own loop, no drafter", 2)


def made_up_limits(family: str, mu: float, mu2: float) -> FamilyLimits:
    oracle = [1 + 1.15 * log(budget) / sqrt(mu) for budget in BUDGETS]
    ergodic = [1.0 + 1.09 * (value - 1.0) for value in oracle]
    return FamilyLimits(
        family=family,
        temperature=1.0,
        start_law="uniform positions of sampled text",
        budgets=BUDGETS,
        curves=(
            LimitCurve(
                "theorem_1",
                "Theorem 1, as printed",
                "upper",
                tuple(theorem_1(mu, mu2, budget).value for budget in BUDGETS),
                None,
                None,
                False,
                IID,
                "arXiv 2512.11718v1, Theorem 1",
            ),
            LimitCurve(
                "limit",
                "ln(P)/μ",
                "asymptotic",
                tuple(limit(mu, budget).value for budget in BUDGETS),
                None,
                None,
                False,
                (*IID, "leading order as P grows"),
                "arXiv 2512.11718v1, Theorem 3",
            ),
            LimitCurve(
                "renewal",
                "Renewal bound",
                "upper",
                tuple(1.0 + 0.93 * (value - 1.0) for value in oracle),
                None,
                None,
                False,
                IID,
                "ours",
            ),
            LimitCurve(
                "ergodic_renewal",
                "Ergodic renewal bound",
                "upper",
                tuple(ergodic),
                tuple(0.95 * value for value in ergodic),
                tuple(1.05 * value for value in ergodic),
                True,
                ("deterministic drafting", "calls start where the measured starts lay"),
                "ours",
            ),
            LimitCurve(
                "oracle",
                "Oracle: the true limit",
                "measured",
                tuple(oracle),
                tuple(1.0 + 0.8 * (value - 1.0) for value in oracle),
                tuple(1.0 + 1.2 * (value - 1.0) for value in oracle),
                True,
                ("deterministic drafting",),
                "ours, by Lemma 1 of arXiv 2512.11718v1",
            ),
        ),
        oracle_contexts=8,
    )


def made_up_decodes(family: str, mu: float) -> FamilyDecodes:
    return FamilyDecodes(
        family,
        1.0,
        tuple(
            DecodeInterval(
                budget,
                LowerEstimate(
                    1 + 0.8 * log(budget) / sqrt(mu), 0.05, 0.9 + 0.8 * log(budget) / sqrt(mu), 0.95
                ),
                UpperEstimate(
                    1 + 1.2 * log(budget) / sqrt(mu), 0.06, 1.1 + 1.2 * log(budget) / sqrt(mu), 0.95
                ),
            )
            for budget in (8, 16, 64)
        ),
    )


def made_up_decoding(family: str, temperature: float, mu: float) -> DecodingSummary:
    tokens_per_call = (1.55 if temperature == 0.0 else 1.22) + 0.2 / mu
    plain = {"generate of Transformers": 31.4, "own loop, no drafter": 36.9}
    speed = 36.9 * tokens_per_call / 1.62
    return DecodingSummary(
        family=family,
        temperature=temperature,
        drafter="ngram",
        rule="greedy" if temperature == 0.0 else "target_sample",
        node_budget=8,
        prompts=2,
        tokens=96,
        calls=round(96 / tokens_per_call),
        tokens_per_call=made_up_estimate(tokens_per_call, 0.05, clusters=2),
        nodes_per_call=3.9 + 0.4 / mu,
        tokens_per_second=speed,
        plain_tokens_per_second=36.9,
        plain_decoders=plain,
        speed_up=made_up_speed_up(speed / 36.9, clusters=2),
        looping_share=0.21 if temperature == 0.0 else 0.012,
        branching_calls=11,
        divergences_near_tie=1 if temperature == 0.0 else None,
        divergences_other=0 if temperature == 0.0 else None,
        seconds_by_phase=PhaseSeconds(draft=0.31, target=2.02, verify=0.14, commit=0.05),
        acceptance=tuple(
            DepthAcceptance(depth, 60 >> (depth - 1), (60 >> depth) - depth) for depth in (1, 2, 3)
        ),
    )


def made_up_prompt_totals(run: DecodingSummary, prompts: int) -> tuple[PromptTotals, ...]:
    return tuple(
        PromptTotals(
            prompt_id=f"{family}-{number}",
            family=family,
            temperature=run.temperature,
            drafter=run.drafter,
            rule=run.rule,
            node_budget=run.node_budget,
            tokens=48,
            calls=31 + number,
            expected_tokens=46.5 + number,
            limit_tokens=100.0 + number if run.temperature == 1.0 else None,
            log_speed_up=-0.1 + 0.02 * number,
        )
        for family in MOMENTS
        for number in range(prompts)
    )


@cache
def made_up_losses() -> SpeedLosses:
    """Those of one planted run: every record has them, and a run takes a quarter of a second."""
    faults = Faults(drafter=BAD_DRAFTER, call=1.3, draft=0.2, loop=0.1)
    return SpeedLosses(
        waterfall(planted_run(faults, prompts=10)), RunSetup("ngram", "best_first", "target_sample", 7, 6.8)
    )


@cache
def synthetic_record(families: tuple[str, ...] = tuple(MOMENTS), speed_up: float = 0.874) -> DemoRecord:
    chosen = {family: MOMENTS.get(family, (1.0, 3.0)) for family in families}
    overall = tuple(made_up_decoding(ALL_FAMILIES, temperature, 1.05) for temperature in (0.0, 1.0))
    oracle = made_up_limits(ALL_FAMILIES, 1.05, 3.6)
    return DemoRecord(
        schema=SCHEMA,
        target="Synthetic-135M, made-up numbers",
        headline=Headline(
            drafter="ngram",
            drafter_choice="Chosen for this made-up record, on no prompt at all.",
            rule="target_sample",
            node_budget=8,
            temperature=1.0,
            starts=342,
            expected_tokens_per_call=made_up_estimate(1.312),
            measured_tokens_per_call=made_up_estimate(1.287),
            limit_tokens_per_call=made_up_estimate(3.174),
            share_of_limit=made_up_estimate(1.312 / 3.174),
            speed_up=made_up_speed_up(speed_up),
        ),
        speed_limit=SpeedLimit(
            temperature=1.0,
            limit=UpperEstimate(71.3, 2.1, 74.9, 0.95),
            largest_tree=64,
            call_times=CallTimes((1, 8, 64), (0.026, 0.031, 0.094), 41, 2e-6),
            plain_tokens_per_second=36.9,
            drafters={"ngram": 32.3},
        ),
        losses=made_up_losses(),
        what_if=made_up_what_if(),
        decodes=tuple(made_up_decodes(family, mu) for family, (mu, _) in chosen.items()),
        limit_checks=(DecodeCheck("ngram", 1.0, LimitCheck(8, 10, 1.29, 3.2, 0.403, 0.36, False)),),
        profiles=tuple(
            FamilyProfile(
                family,
                16,
                12288,
                made_up_estimate(mu),
                made_up_estimate(mu2, 0.06),
                made_up_estimate(1.01 * mu, 0.07),
                made_up_estimate(0.98 * mu2, 0.11),
            )
            for family, (mu, mu2) in chosen.items()
        ),
        limits=tuple(made_up_limits(family, *moments) for family, moments in chosen.items()),
        overall_limits=replace(oracle, curves=oracle.curves[-1:], oracle_contexts=8 * len(chosen)),
        at_call_starts=tuple(
            CallStartLimit(
                family,
                71,
                made_up_estimate(1.1 + 0.2 / mu, 0.05, 2),
                made_up_estimate(2.2 + 0.8 / mu, 0.05, 2),
                made_up_estimate((1.1 + 0.2 / mu) / (2.2 + 0.8 / mu), 0.06, 2),
            )
            for family, (mu, _) in chosen.items()
        ),
        at_uniform_starts=tuple(
            CallStartLimit(
                family,
                8,
                made_up_estimate(1.2, 0.05, 4),
                made_up_estimate(2.4, 0.05, 4),
                made_up_estimate(0.5, 0.06, 4),
            )
            for family in (ALL_FAMILIES, *chosen)
        ),
        overall=tuple(
            replace(
                run,
                prompts=10,
                tokens=480,
                calls=5 * run.calls,
                tokens_per_call=made_up_estimate(run.tokens_per_call.value, 0.03, clusters=10),
                speed_up=made_up_speed_up(run.speed_up.estimate.value),
            )
            for run in overall
        ),
        prompt_totals=tuple(row for run in overall for row in made_up_prompt_totals(run, 2)),
        decodings=tuple(
            made_up_decoding(family, temperature, mu)
            for temperature in (0.0, 1.0)
            for family, (mu, _) in chosen.items()
        ),
        examples=tuple(
            Example(
                family,
                f"Made-up prompt about {family}: explain in two sentences why the sky is blue.",
                "Made-up text.\n\n1. The first line of it, long enough to wrap on a narrow screen because "
                "it simply goes on.\n2. The second line.\n    an_indented_line = True\n",
                1.0,
                48,
                37,
            )
            for family in families
        ),
        load=MachineLoad(before=0.1, after=2.1, threads=2, cores=2),
        provenance=Provenance(
            speclight_version="0.1.0",
            versions={"python": "3.12.0", "numpy": "2.3.0", "torch": "2.13.0", "transformers": "5.19.0"},
            command="speclight demo --out report --seed 7",
            seed=7,
            machine="x86-64, 2 cores, Linux",
            threads=2,
            prompts_sha256="5" * 64,
            weights_sha256="a" * 64,
            started="2026-01-02T03:04:05Z",
            seconds=312.4,
            peak_memory_mib=2410.0,
        ),
    )


def with_every_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same record with `change` applied to each free text in it: names, labels, prompts, keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(with_every_text(item, change) for item in value)
    if isinstance(value, dict):
        return {change(key): with_every_text(item, change) for key, item in value.items()}
    if is_dataclass(value):
        fixed = ("name", "side", "verdict")  # chosen by the package, never by a user or a model
        return replace(
            value,
            **{
                field.name: with_every_text(getattr(value, field.name), change)
                for field in fields(value)
                if field.name not in fixed
            },
        )
    return value
