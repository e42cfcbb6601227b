"""The sentences of the report: headline, definitions, descriptions of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from speclight.experiments.demo.record import DecodeCheck, DemoRecord, FamilyLimits, SpeedLimit
from speclight.measure.estimates import Estimate
from speclight.measure.machine_load import MachineLoad
from speclight.measure.paired_times import SpeedUp
from speclight.report.demo.losses import largest_loss
from speclight.report.demo.selection import at_budget, table_budgets
from speclight.report.number_format import (
    percent,
    ratio,
    significant,
    span,
    told_interval,
    whole,
)


@dataclass(frozen=True, slots=True)
class HeadlineText:
    """The headline in words: what is possible, what the drafter gets of it, what that did to the clock.

    before, limit, between, drafted: the first sentences, in tokens per second, their two numbers apart.
    calls: the same in target calls. budget: what P is. verdict: one word or two, what speed says after it.
    elsewhere: what it did to the clock at other temperatures; empty if none was decoded. remedy: the largest
    loss, and what would win it back. is_slower: whether speculation lost against plain decoding, beyond its
    interval.
    """

    before: str
    limit: str
    between: str
    drafted: str
    calls: str
    budget: str
    share: str
    measured: str
    choice: str
    verdict: str
    speed: str
    elsewhere: str
    remedy: str
    timing: str
    is_slower: bool

    @property
    def statement(self) -> str:
        """The first sentences in one piece."""
        return f"{self.before} {self.limit} {self.between} {self.drafted}."


@dataclass(frozen=True, slots=True)
class HeadlineQuantity:
    """A number of the headline's table with a note, and the length of its bar in percent of the longest.

    about: its definition in the page.
    """

    text: str
    note: str
    length: float
    about: str


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """Plain decoding, the drafter or the limit, in tokens per target call and in tokens per second."""

    label: str
    colour: str
    per_call: HeadlineQuantity
    per_second: HeadlineQuantity


def headline_text(record: DemoRecord) -> HeadlineText:
    """At P and T of the headline: the limit in target calls, what the drafter gets, and whether it paid."""
    headline, speed = record.headline, record.speed_limit
    limit, expected = headline.limit_tokens_per_call, headline.expected_tokens_per_call
    return HeadlineText(
        before="At most",
        limit=f"{significant(speed.limit.value)} tokens per second",
        between=f"are possible here, {ratio(speed.limit.value / speed.plain_tokens_per_second)} plain "
        f"decoding. The {headline.drafter} drafter gives",
        drafted=significant(speed.drafters[headline.drafter]),
        calls=f"In calls of the target: up to {significant(limit.value)} times fewer are possible at P = "
        f"{headline.node_budget}, the {headline.drafter} drafter gets {significant(expected.value)} times "
        "fewer.",
        budget=_budget_sentence(record),
        share=(
            f"The drafter reaches {percent(headline.share_of_limit.value)} of the limit"
            f"{_share_interval(headline.share_of_limit)}, both counted at the {whole(headline.starts)} call "
            "starts of the drafter’s own run."
        ),
        measured=(
            f"That run emitted {_with_interval(headline.measured_tokens_per_call)} tokens per call (rule "
            f"{headline.rule}). The drafter’s number above is its expectation over the target’s own law, "
            "free of the luck of one run."
        ),
        choice=headline.drafter_choice,
        verdict=headline.speed_up.verdict.capitalize(),
        speed=_speed_sentence(headline.speed_up),
        elsewhere=_elsewhere_sentences(record),
        remedy=largest_loss(record.losses),
        timing=_timing_sentence(headline.speed_up),
        is_slower=headline.speed_up.verdict == "slower",
    )


def _budget_sentence(record: DemoRecord) -> str:
    """What P is, said with the numbers it belongs to."""
    budget = record.headline.node_budget
    drafted = "1 drafted one" if budget == 2 else f"{budget - 1} drafted ones"
    by_budget = [
        (other, found.value)
        for other in sorted({budget, *table_budgets(record)})
        if other >= budget and (found := at_budget(record.overall_limits, "oracle", other)) is not None
    ]
    (smallest, least), (largest, most) = by_budget[0], by_budget[-1]
    more = (
        f" A larger P raises the limit: over {record.overall_limits.start_law}, from {significant(least)} at "
        f"P = {smallest} to {significant(most)} at P = {largest}."
        if largest > smallest
        else ""
    )
    return (
        f"P = {budget} means that a call scores {budget} positions at once, the last token of the text and "
        f"{drafted}; plain decoding is P = 1, one token per call. All of it is at temperature "
        f"{record.headline.temperature:g}.{more}"
    )


def headline_rows(record: DemoRecord) -> tuple[HeadlineRow, ...]:
    """Plain decoding, the drafter and the limit, each quantity on one scale."""
    headline, speed = record.headline, record.speed_limit
    expected, limit = headline.expected_tokens_per_call, headline.limit_tokens_per_call
    drafted = speed.drafters.get(headline.drafter, nan)
    calls = (1.0, expected.value, limit.value)
    seconds = (speed.plain_tokens_per_second, drafted, speed.limit.value)
    bars = [
        (_length(per_call, calls), _length(per_second, seconds))
        for per_call, per_second in zip(calls, seconds, strict=True)
    ]
    gain, ends = ratio(headline.speed_up.estimate.value), told_interval(headline.speed_up.estimate)
    against_plain = f"{gain} plain{f' ({ends})' if ends else ''}: {headline.speed_up.verdict}"
    upper = f"95% upper limit {significant(speed.limit.upper)}; " if isfinite(speed.limit.upper) else ""
    at_most = f"{upper}any P up to {whole(speed.largest_tree)}, drafting free"
    return (
        HeadlineRow(
            "plain decoding",
            "plain",
            HeadlineQuantity("1", "by definition", bars[0][0], "measured-tokens"),
            HeadlineQuantity(significant(seconds[0]), "", bars[0][1], "measured-speed"),
        ),
        HeadlineRow(
            f"{headline.drafter} drafter",
            "drafter",
            HeadlineQuantity(
                significant(expected.value), told_interval(expected) or "", bars[1][0], "expected"
            ),
            HeadlineQuantity(significant(drafted), against_plain, bars[1][1], "measured-speed"),
        ),
        HeadlineRow(
            "the limit",
            "oracle",
            HeadlineQuantity(significant(limit.value), told_interval(limit) or "", bars[2][0], "oracle"),
            HeadlineQuantity(f"at most {significant(speed.limit.value)}", at_most, bars[2][1], "speed-bound"),
        ),
    )


def _length(value: float, scale: tuple[float, ...]) -> float:
    longest = max((other for other in scale if isfinite(other)), default=1.0)
    return 100.0 * value / longest if isfinite(value) and longest > 0.0 else 0.0


def speed_limit_text(limit: SpeedLimit, drafter: str) -> str:
    """This machine and this model in tokens per second: the limit, the headline's drafter, plain decoding."""
    estimate = limit.limit
    upper = f" (95% upper limit {significant(estimate.upper)})" if isfinite(estimate.upper) else ""
    return (
        f"On this machine, speculation with deterministic drafts can give this model at most "
        f"{significant(estimate.value)} tokens per second{upper} at temperature {limit.temperature:g}, by "
        f"trees of up to {whole(limit.largest_tree)} nodes, even if drafting took no time; the {drafter} "
        f"drafter gives {significant(limit.drafters[drafter])}, plain decoding "
        f"{significant(limit.plain_tokens_per_second)}."
    )


def _speed_sentence(speed_up: SpeedUp, where: str = "here") -> str:
    """What the verdict means, and what it rests on, in a line."""
    if not isfinite(speed_up.estimate.value):
        return "The speed against plain decoding was not measured."
    ends = told_interval(speed_up.estimate)
    measured = f"{ratio(speed_up.estimate.value)} plain decoding’s tokens per second" + (
        f" (95% interval {ends})" if ends else ""
    )
    conclusion = {
        "faster": f"Speculation was faster than plain decoding {where}",
        "slower": f"Speculation was slower than plain decoding {where}, and plain decoding is the better "
        "choice",
        "not decided": f"Whether speculation is faster than plain decoding {where}, this run cannot tell",
    }[speed_up.verdict]
    return f"{conclusion}: {measured}."


def _elsewhere_sentences(record: DemoRecord) -> str:
    """What the headline's drafter did to the clock at other temperatures than the headline's."""
    headline = record.headline
    others = [
        run
        for run in record.overall
        if run.drafter == headline.drafter
        and run.temperature != headline.temperature
        and isfinite(run.speed_up.estimate.value)
    ]
    return " ".join(_speed_sentence(run.speed_up, f"at temperature {run.temperature:g}") for run in others)


def _timing_sentence(speed_up: SpeedUp) -> str:
    prompts, rounds = speed_up.estimate.clusters, speed_up.rounds
    return (
        f"Timed over all families together: {whole(prompts)} prompt{'' if prompts == 1 else 's'}, drafted "
        f"and plain decoding in turn, {whole(rounds)} round{'' if rounds == 1 else 's'}; plain decoding is "
        f"{speed_up.against}, prefill excluded."
    )


def _share_interval(share: Estimate) -> str:
    ends = span(*(None if end is None else 100.0 * end for end in (share.low, share.high)))
    return f" (95% interval {ends}%)" if ends else ""


def _with_interval(estimate: Estimate) -> str:
    ends = told_interval(estimate)
    return significant(estimate.value) + (f" (95% interval {ends})" if ends else "")


def alarms(record: DemoRecord) -> list[str]:
    """What must not have happened and did: a sentence each."""
    beyond = [limit_warning(item) for item in record.limit_checks if item.check.exceeds]
    divergence = divergence_warning(record)
    return beyond if divergence is None else [*beyond, divergence]


def divergence_warning(record: DemoRecord) -> str | None:
    """A sentence if a greedy text left plain greedy decoding for no near tie; None if none did."""
    families = [decoding.family for decoding in record.decodings if decoding.divergences_other]
    if not families:
        return None
    return (
        "Some texts at temperature 0 differ from plain greedy decoding at a position that is no near tie, "
        f"which lossless decoding must not do. Families: {', '.join(dict.fromkeys(families))}."
    )


def limit_warning(item: DecodeCheck) -> str:
    """A sentence about a decode that did what none can: emitted more tokens per call than its own limit."""
    return (
        f"At temperature {item.temperature:g} the {item.drafter} drafter emitted "
        f"{significant(item.check.reached)} tokens per call where no decode of these texts exceeds "
        f"{significant(item.check.limit)}: an error in the decode or in the limit."
    )


def load_warning(load: MachineLoad) -> str | None:
    """A sentence if other work wanted the cores that decoding was timed on; None if none was seen."""
    if not load.is_shared:
        return None
    return (
        "Other work was running: the machine’s load was "
        f"{significant(load.before)} before and {significant(load.after)} at the end, on {whole(load.cores)} "
        f"cores of which this run used {whole(load.threads)} threads. Speeds are those of a shared machine."
    )


def limits_description(limits: FamilyLimits, budgets: Sequence[int]) -> str:
    """What a reader who cannot see the panel should know of it. budgets: those of the tables."""
    shown = [(budget, at_budget(limits, "oracle", budget)) for budget in budgets]
    points = [
        f"{significant(estimate.value)} at P = {budget}" for budget, estimate in shown if estimate is not None
    ]
    oracle = f"The oracle reads {', '.join(points)} tokens per call." if points else "No oracle was measured."
    return (
        f"Tokens per call over the node budget P for {limits.family} at temperature {limits.temperature:g}, "
        f"both axes logarithmic. {oracle} These values are in the table of families."
    )
