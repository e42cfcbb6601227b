"""Two demos side by side: what differs between them, in how they were run and in what they measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from speclight.experiments.demo.record import DecodingSummary, DemoRecord, LimitCurve, PromptTotals
from speclight.measure.differences import independent_difference, independent_ratio, paired_difference
from speclight.measure.estimates import Estimate, geometric_mean, ratio_of_totals

# Which way the second run lies from the first, by the interval of the change.
Direction = Literal["higher", "lower", "not decided"]
Setting: TypeAlias = tuple[str, float, str, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """One quantity in both runs. change: second minus first, or second over first where is_ratio.

    setting: drafter, temperature and node budget, or start law, in words. is_paired: whether the change is
    over the same prompts one by one; else its interval takes the runs for independent.
    """

    quantity: str
    setting: str
    first: Estimate
    second: Estimate
    change: Estimate
    is_ratio: bool
    is_paired: bool

    @property
    def direction(self) -> Direction:
        """On which side of no change the interval lies."""
        none = 1.0 if self.is_ratio else 0.0
        if self.change.low is not None and self.change.low > none:
            return "higher"
        if self.change.high is not None and self.change.high < none:
            return "lower"
        return "not decided"


@dataclass(frozen=True, slots=True)
class Circumstance:
    """One thing about how the runs were made, in words, where they differ."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of `speclight demo`, the second against the first.

    only_first, only_second: settings that the other run does not have.
    """

    circumstances: tuple[Circumstance, ...]
    differences: tuple[Difference, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare_runs(first: DemoRecord, second: DemoRecord) -> Comparison:
    """Compare every setting that both runs decoded, and the oracle at every node budget that both searched.

    Prompts are paired where both runs drew from one set of prompts and decoded the same ones in a setting.
    """
    same_prompts = first.provenance.prompts_sha256 == second.provenance.prompts_sha256
    in_first, in_second = _by_setting(first), _by_setting(second)
    differences = list(_oracle_differences(first, second))
    for setting in in_first:
        if setting in in_second:
            differences += _decoding_differences(
                (in_first[setting], in_second[setting]),
                (_totals(first, setting), _totals(second, setting)),
                same_prompts,
            )
    return Comparison(
        circumstances=_circumstances(first, second),
        differences=tuple(differences),
        only_first=tuple(_words(setting) for setting in in_first if setting not in in_second),
        only_second=tuple(_words(setting) for setting in in_second if setting not in in_first),
    )


def _by_setting(record: DemoRecord) -> dict[Setting, DecodingSummary]:
    return {(run.drafter, run.temperature, run.rule, run.node_budget): run for run in record.overall}


def _words(setting: Setting) -> str:
    drafter, temperature, rule, budget = setting
    return f"{drafter}, T = {temperature:g}, P ≤ {budget}, {rule}"


def _totals(record: DemoRecord, setting: Setting) -> dict[str, PromptTotals]:
    rows = (
        row
        for row in record.prompt_totals
        if (row.drafter, row.temperature, row.rule, row.node_budget) == setting
    )
    return {row.prompt_id: row for row in rows}


def _oracle_differences(first: DemoRecord, second: DemoRecord) -> list[Difference]:
    ours, theirs = first.overall_limits, second.overall_limits
    if ours.temperature != theirs.temperature:
        return []
    budgets = [budget for budget in (4, 8, 16, 32, 64) if budget in ours.budgets and budget in theirs.budgets]
    found: list[Difference] = []
    for budget in budgets:
        sides = [
            _at(limits.curves[-1], limits.budgets.index(budget), limits.oracle_contexts)
            for limits in (ours, theirs)
        ]
        setting = f"{ours.start_law}, T = {ours.temperature:g}, P = {budget}"
        change = independent_difference(sides[0], sides[1])
        found.append(
            Difference(
                "limit, tokens per call", setting, sides[0], sides[1], change, is_ratio=False, is_paired=False
            )
        )
    return found


def _at(curve: LimitCurve, place: int, contexts: int) -> Estimate:
    low = None if curve.lows is None else curve.lows[place]
    high = None if curve.highs is None else curve.highs[place]
    return Estimate(curve.values[place], None, low, high, contexts)


def _decoding_differences(
    runs: tuple[DecodingSummary, DecodingSummary],
    totals: tuple[dict[str, PromptTotals], dict[str, PromptTotals]],
    same_prompts: bool,
) -> list[Difference]:
    is_paired = same_prompts and totals[0].keys() == totals[1].keys() and len(totals[0]) > 0
    pairs = [(totals[0][name], totals[1][name]) for name in totals[0]] if is_paired else []
    run = runs[0]
    setting = _words((run.drafter, run.temperature, run.rule, run.node_budget))
    per_call = (runs[0].tokens_per_call, runs[1].tokens_per_call)
    speeds = (runs[0].speed_up.estimate, runs[1].speed_up.estimate)
    found = [
        Difference(
            "tokens per call",
            setting,
            *per_call,
            _ratio_change(pairs, _tokens, _calls) if is_paired else independent_difference(*per_call),
            is_ratio=False,
            is_paired=is_paired,
        ),
        Difference(
            "speed-up over plain decoding",
            setting,
            *speeds,
            _speed_change(pairs) if is_paired else independent_ratio(*speeds),
            is_ratio=True,
            is_paired=is_paired,
        ),
    ]
    if is_paired and all(row.limit_tokens is not None for pair in pairs for row in pair):
        found.append(_share_difference(setting, pairs))
    return found


def _share_difference(setting: str, pairs: Sequence[tuple[PromptTotals, PromptTotals]]) -> Difference:
    names = [pair[0].prompt_id for pair in pairs]
    first, second = (
        ratio_of_totals(
            names, [_expected(pair[side]) for pair in pairs], [_limit(pair[side]) for pair in pairs]
        )
        for side in (0, 1)
    )
    change = _ratio_change(pairs, _expected, _limit)
    return Difference("share of the limit", setting, first, second, change, is_ratio=False, is_paired=True)


def _ratio_change(
    pairs: Sequence[tuple[PromptTotals, PromptTotals]],
    top: Callable[[PromptTotals], float],
    bottom: Callable[[PromptTotals], float],
) -> Estimate:
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    return paired_difference(
        ([top(row) for row in first], [bottom(row) for row in first]),
        ([top(row) for row in second], [bottom(row) for row in second]),
    )


def _speed_change(pairs: Sequence[tuple[PromptTotals, PromptTotals]]) -> Estimate:
    names = [pair[0].prompt_id for pair in pairs]
    return geometric_mean(names, [pair[1].log_speed_up - pair[0].log_speed_up for pair in pairs])


def _tokens(row: PromptTotals) -> float:
    return float(row.tokens)


def _calls(row: PromptTotals) -> float:
    return float(row.calls)


def _expected(row: PromptTotals) -> float:
    return row.expected_tokens


def _limit(row: PromptTotals) -> float:
    assert row.limit_tokens is not None, "asked for where every prompt has one"
    return row.limit_tokens


def _circumstances(first: DemoRecord, second: DemoRecord) -> tuple[Circumstance, ...]:
    rows = zip(_facts(first).items(), _facts(second).values(), strict=True)
    return tuple(Circumstance(name, ours, theirs) for (name, ours), theirs in rows if ours != theirs)


def _facts(record: DemoRecord) -> dict[str, str]:
    origin, load = record.provenance, record.load
    return {
        "target": record.target,
        "weights, SHA-256": origin.weights_sha256 or "not recorded",
        "prompts, SHA-256": origin.prompts_sha256,
        "command": origin.command,
        "seed": str(origin.seed),
        "machine": origin.machine,
        "threads": str(origin.threads),
        "machine was shared": "yes" if load.is_shared else "no",
        "speclight": origin.speclight_version,
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items())),
        "headline's drafter": record.headline.drafter,
        "started": origin.started,
    }
