"""The sentences of the report: headline, definitions, descriptions of figures."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from speclight.experiments.demo.record import DemoRecord, FamilyLimits, Headline, SpeedLimit
from speclight.measure.estimates import Estimate
from speclight.measure.machine_load import MachineLoad
from speclight.measure.paired_times import SpeedUp
from speclight.report.demo.selection import TABLE_BUDGETS, at_budget
from speclight.report.number_format import interval, percent, ratio, significant, span, whole


@dataclass(frozen=True, slots=True)
class HeadlineText:
    """The headline in words. is_slower: whether speculation lost against plain decoding, beyond its interval.

    verdict: one word or two, what speed says after it.
    """

    before_share: str
    share: str
    after_share: str
    detail: str
    measured: str
    choice: str
    verdict: str
    speed: str
    is_slower: bool

    @property
    def statement(self) -> str:
        """The first sentence in one piece."""
        return f"{self.before_share} {self.share} {self.after_share}"


@dataclass(frozen=True, slots=True)
class HeadlineBar:
    """One bar of the headline's small chart; lengths in percent of the chart's width."""

    label: str
    value: str
    length: float
    colour: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A quantity of the report and its meaning in one line."""

    term: str
    meaning: str


def headline_text(headline: Headline) -> HeadlineText:
    """At P and T of the headline: the share of the limit, what it is made of, and whether it paid."""
    budget, temperature = headline.node_budget, f"{headline.temperature:g}"
    expected, limit = headline.expected_tokens_per_call, headline.limit_tokens_per_call
    return HeadlineText(
        before_share=f"At P = {budget} and temperature {temperature}, the {headline.drafter} drafter reaches",
        share=percent(headline.share_of_limit.value),
        after_share=f"of this model’s limit{_share_interval(headline.share_of_limit)}.",
        detail=(
            f"{_with_interval(expected)} tokens per target call, against {_with_interval(limit)} for the "
            f"best possible tree of {budget} nodes at the same {whole(headline.starts)} call starts, those "
            "of the drafter’s own run."
        ),
        measured=(
            f"Counted in that run: {_with_interval(headline.measured_tokens_per_call)} tokens per call "
            f"(rule {headline.rule}). The numbers above are expectations over the target’s own law, free of "
            "the luck of one run."
        ),
        choice=headline.drafter_choice,
        verdict=headline.speed_up.verdict.capitalize(),
        speed=_speed_sentence(headline.speed_up),
        is_slower=headline.speed_up.verdict == "slower",
    )


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


def headline_bars(headline: Headline) -> tuple[HeadlineBar, ...]:
    """Plain decoding (1 by definition), the drafter and the limit, in tokens per call, on one scale."""
    limit = headline.limit_tokens_per_call.value
    shown = (
        ("plain decoding", 1.0, "plain"),
        (f"{headline.drafter} drafter", headline.expected_tokens_per_call.value, "drafter"),
        (f"limit, P = {headline.node_budget}", limit, "oracle"),
    )
    longest = max([1.0, *(value for _, value, _ in shown if isfinite(value))])
    return tuple(
        HeadlineBar(label, significant(value), 100.0 * value / longest if isfinite(value) else 0.0, colour)
        for label, value, colour in shown
    )


def _speed_sentence(speed_up: SpeedUp) -> str:
    estimate = speed_up.estimate
    if not isfinite(estimate.value):
        return "The speed against plain decoding was not measured."
    ends = interval(estimate)
    measured = (
        f"{ratio(estimate.value)} plain decoding’s tokens per second"
        + (f" (95% interval {ends})" if ends else " (a single prompt allows no interval)")
        + f", all families together, {whole(estimate.clusters)} prompts, drafted and plain in turn, "
        f"{whole(speed_up.rounds)} rounds; plain is {speed_up.against}."
    )
    conclusion = {
        "faster": "Speculation was faster than plain decoding here",
        "slower": "Speculation was slower than plain decoding here, and plain decoding is the better choice",
        "not decided": "Whether speculation is faster than plain decoding here, this run cannot tell",
    }[speed_up.verdict]
    return f"{conclusion}: {measured}"


def _share_interval(share: Estimate) -> str:
    ends = span(*(None if end is None else 100.0 * end for end in (share.low, share.high)))
    return f" (95% interval {ends}%)" if ends else ""


def _with_interval(estimate: Estimate) -> str:
    ends = interval(estimate)
    return significant(estimate.value) + (f" (95% interval {ends})" if ends else "")


def divergence_warning(record: DemoRecord) -> str | None:
    """A sentence if a greedy text left plain greedy decoding for no near tie; None if none did."""
    families = [decoding.family for decoding in record.decodings if decoding.divergences_other]
    if not families:
        return None
    return (
        "Some texts at temperature 0 differ from plain greedy decoding at a position that is no near tie, "
        f"which lossless decoding must not do. Families: {', '.join(dict.fromkeys(families))}."
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


def limits_description(limits: FamilyLimits) -> str:
    """What a reader who cannot see the panel should know of it."""
    shown = [(budget, at_budget(limits, "oracle", budget)) for budget in TABLE_BUDGETS]
    points = [
        f"{significant(estimate.value)} at P = {budget}" for budget, estimate in shown if estimate is not None
    ]
    oracle = f"The oracle reads {', '.join(points)} tokens per call." if points else "No oracle was measured."
    return (
        f"Tokens per call over the node budget P for {limits.family} at temperature {limits.temperature:g}, "
        f"both axes logarithmic. {oracle} The values at P = 8, 16 and 64 are in the table of limits."
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
        "Start law", "where the calls begin; means over different start laws are different quantities."
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
        "±, intervals", "± is one standard error, clustered by prompt; intervals are 95%, t quantiles."
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
