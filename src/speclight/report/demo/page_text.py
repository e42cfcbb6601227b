"""The sentences of the report: headline, definitions, descriptions of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from speclight.experiments.demo.record import DecodeCheck, DemoRecord, FamilyLimits, SpeedLimit
from speclight.measure.estimates import Estimate
from speclight.measure.machine_load import MachineLoad
from speclight.measure.paired_times import SpeedUp
from speclight.report.demo.selection import FEWEST_OFFERED, at_budget, table_budgets
from speclight.report.number_format import (
    FEWEST_PROMPTS,
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

    before, limit, between, drafted: the first sentences, their two numbers apart. budget: what P is.
    verdict: one word or two, what speed says after it. is_slower: whether speculation lost against plain
    decoding, beyond its interval.
    """

    before: str
    limit: str
    between: str
    drafted: str
    budget: str
    share: str
    measured: str
    choice: str
    verdict: str
    speed: str
    timing: str
    is_slower: bool

    @property
    def statement(self) -> str:
        """The first sentences in one piece."""
        return f"{self.before} {self.limit} {self.between} {self.drafted}."


@dataclass(frozen=True, slots=True)
class HeadlineQuantity:
    """A number of the headline's table with a note, and the length of its bar in percent of the longest."""

    text: str
    note: str
    length: float


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """Plain decoding, the drafter or the limit, in tokens per target call and in tokens per second."""

    label: str
    colour: str
    per_call: HeadlineQuantity
    per_second: HeadlineQuantity


@dataclass(frozen=True, slots=True)
class Definition:
    """A quantity of the report and its meaning in one line."""

    term: str
    meaning: str


def headline_text(record: DemoRecord) -> HeadlineText:
    """At P and T of the headline: the limit in target calls, what the drafter gets, and whether it paid."""
    headline = record.headline
    limit, expected = headline.limit_tokens_per_call, headline.expected_tokens_per_call
    return HeadlineText(
        before="This model could be decoded in up to",
        limit=f"{significant(limit.value)} times fewer",
        between=f"target calls. The {headline.drafter} drafter gets",
        drafted=f"{significant(expected.value)} times fewer",
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
        f"That is at P = {budget}, temperature {record.headline.temperature:g}: a call scores {budget} "
        f"positions at once, the last token of the text and {drafted}. Plain decoding is P = 1, one token "
        f"per call.{more}"
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
            HeadlineQuantity("1", "by definition", bars[0][0]),
            HeadlineQuantity(significant(seconds[0]), "", bars[0][1]),
        ),
        HeadlineRow(
            f"{headline.drafter} drafter",
            "drafter",
            HeadlineQuantity(significant(expected.value), told_interval(expected) or "", bars[1][0]),
            HeadlineQuantity(significant(drafted), against_plain, bars[1][1]),
        ),
        HeadlineRow(
            "the limit",
            "oracle",
            HeadlineQuantity(significant(limit.value), told_interval(limit) or "", bars[2][0]),
            HeadlineQuantity(f"at most {significant(speed.limit.value)}", at_most, bars[2][1]),
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


def _speed_sentence(speed_up: SpeedUp) -> str:
    """What the verdict means, and what it rests on, in a line."""
    if not isfinite(speed_up.estimate.value):
        return "The speed against plain decoding was not measured."
    ends = told_interval(speed_up.estimate)
    measured = f"{ratio(speed_up.estimate.value)} plain decoding’s tokens per second" + (
        f" (95% interval {ends})" if ends else ""
    )
    conclusion = {
        "faster": "Speculation was faster than plain decoding here",
        "slower": "Speculation was slower than plain decoding here, and plain decoding is the better choice",
        "not decided": "Whether speculation is faster than plain decoding here, this run cannot tell",
    }[speed_up.verdict]
    return f"{conclusion}: {measured}."


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


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "P, the node budget",
        "positions scored in one target call; the root, the last committed token, counts.",
    ),
    Definition(
        "Tokens per call",
        "tokens emitted over target calls, totals over totals; the target’s own token counts, so plain "
        "decoding has 1.",
    ),
    Definition(
        "Expected tokens per call",
        "the sum of the target’s path probabilities over the drafted tree, averaged over call starts.",
    ),
    Definition(
        "The limit, or oracle",
        "the same sum for the best tree of P nodes, found with the target itself; it holds for drafting "
        "whose tokens are accepted with the target’s own probability of them.",
    ),
    Definition(
        "Share of the limit",
        "the drafter’s expected tokens per call over the limit’s, totals over totals, at the same starts.",
    ),
    Definition(
        "Uniform starts, call starts",
        "where the calls begin over which a mean is taken. Uniform: every position of sampled text alike. "
        "Call starts: where the drafter’s own calls began; a call that breaks off leaves the next one at a "
        "hard place. The two are different quantities.",
    ),
    Definition(
        "Whole decodes",
        "the limit wherever calls start: certified is what a decode that exists reaches, none exceeds is "
        "what no decode with deterministic drafts exceeds; each with its one-sided 95% limit.",
    ),
    Definition(
        "μ", "mean entropy of the target’s next-token law over the contexts visited, in nats per token."
    ),
    Definition("μ₂", "mean of Σ p (ln p)² over the same contexts, in nats²."),
    Definition(
        "Full and sampled",
        "full uses every logit of a context; sampled uses only the log-probability of the sampled token, "
        "which is what an inference API returns.",
    ),
    Definition(
        "±, intervals",
        "± is one standard error, clustered by prompt; intervals are 95%, t quantiles. Fewer than "
        f"{FEWEST_PROMPTS} prompts are too few to say one.",
    ),
    Definition(
        "Speed-up",
        "tokens per second over plain decoding’s, prefill excluded: drafted and plain take turns on each "
        "prompt, and the geometric mean of the ratios is shown. plain is the faster of the decoders named. "
        "“Not decided”: the 95% interval spans 1, or a single prompt gives none.",
    ),
    Definition(
        "Nodes per call",
        "positions scored in a mean call; P is a ceiling, a miss of the drafter scores the root alone.",
    ),
    Definition(
        "Time of a token",
        "wall time over emitted tokens: drafting, the target’s forward pass, verification, and the rest "
        "(keeping what was accepted). Shares of the first round, on the speed of all rounds; prefill "
        "excluded.",
    ),
    Definition(
        "Accepted of offered",
        "of the calls that came as deep and whose tree went on there, the share that accepted a draft there. "
        f"Drawn from {FEWEST_OFFERED} such calls on.",
    ),
    Definition(
        "Looping text",
        "share of emitted tokens that only repeat a cycle of the text, which is easy to draft.",
    ),
    Definition("Branching calls", "calls whose tree had a branch; all others were chains."),
    Definition(
        "Differs from greedy",
        "texts at temperature 0 that left plain greedy decoding’s: at a near tie of the two best logits, "
        "where rounding decides, or elsewhere, which would be an error.",
    ),
)
