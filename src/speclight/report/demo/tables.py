"""The tables of the report, as they are shown, sorted and saved as CSV: lookups, and times per token."""

from __future__ import annotations

from speclight.experiments.demo.record import (
    ALL_FAMILIES,
    CallStartLimit,
    DecodingSummary,
    DemoRecord,
    FamilyDecodes,
    FamilyLimits,
)
from speclight.measure.estimates import Estimate
from speclight.measure.paired_times import SpeedUp
from speclight.report.demo.losses import losses_table
from speclight.report.demo.selection import at_budget, panel_title, plain_decoder_names, table_budgets
from speclight.report.demo.time_rows import PHASES, time_rows
from speclight.report.number_format import FEWEST_PROMPTS, TOO_FEW, interval, percent, ratio, significant
from speclight.report.table import (
    Cell,
    Column,
    Table,
    count,
    difference,
    estimate,
    missing,
    number,
    share,
    share_estimate,
    with_error,
    words,
)


def report_tables(record: DemoRecord) -> dict[str, Table]:
    """Every table that the record has rows for, by name."""
    tables = (
        families_table(record),
        bounds_table(record),
        decoding_table(record, record.overall, "decoding", "What each drafter did, all families together"),
        decoding_table(
            record, record.decodings, "decoding-by-family", "What each drafter did, family by family"
        ),
        time_table(record),
        acceptance_table(record),
        profile_table(record),
        prompts_table(record),
        losses_table(record.losses),
    )
    return {table.name: table for table in tables if table.rows}


def families_table(record: DemoRecord) -> Table:
    """The limit at uniform starts, and at the drafter's own call starts beside the drafter."""
    headline = record.headline
    uniform = f"Limit at uniform starts, {_temperature(headline.temperature)}"
    own = f"At the {headline.drafter} drafter’s own call starts, P = {headline.node_budget}"
    limits = [item for item in record.limits if item.temperature == headline.temperature]
    everything = CallStartLimit(
        ALL_FAMILIES,
        headline.starts,
        headline.expected_tokens_per_call,
        headline.limit_tokens_per_call,
        headline.share_of_limit,
    )
    shown = table_budgets(record)
    by_family = {item.family: item for item in record.at_call_starts}
    traced = {item.family: item for item in record.at_uniform_starts}
    rows = [_family_row(ALL_FAMILIES, record.overall_limits, traced.get(ALL_FAMILIES), everything, shown)]
    names = dict.fromkeys([*(item.family for item in limits), *by_family])
    for name in names:
        of_family = next((item for item in limits if item.family == name), None)
        rows.append(_family_row(name, of_family, traced.get(name), by_family.get(name), shown))
    return Table(
        "families",
        "Tokens per target call that are possible, and what the drafter gets",
        (
            Column("family", "Family"),
            *(
                Column(f"limit_uniform_p{budget}", f"P = {budget}", uniform, about="oracle")
                for budget in shown
            ),
            Column("drafter_uniform", is_shown=False),
            Column("share_of_limit_uniform", is_shown=False),
            Column("uniform_starts", is_shown=False),
            Column("limit_call_starts", "limit", own, about="oracle"),
            Column("drafter_call_starts", "drafter", own, about="expected"),
            Column("share_of_limit", "share of the limit", own, about="share"),
            Column("call_starts", is_shown=False),
            Column("prompts", is_shown=False),
        ),
        tuple(rows),
    )


def _family_row(
    name: str,
    limits: FamilyLimits | None,
    traced: CallStartLimit | None,
    at_calls: CallStartLimit | None,
    shown: tuple[int, ...],
) -> tuple[Cell, ...]:
    uniform = (
        *(estimate(at_budget(limits, "oracle", budget) if limits else None) for budget in shown),
        missing() if traced is None else estimate(traced.expected_tokens_per_call),
        missing() if traced is None else share_estimate(traced.share_of_limit),
        count(limits.oracle_contexts if limits else None),
    )
    if at_calls is None:
        return (words(name), *uniform, *(missing() for _ in range(5)))
    return (
        words(name),
        *uniform,
        estimate(at_calls.limit_tokens_per_call),
        estimate(at_calls.expected_tokens_per_call),
        share_estimate(at_calls.share_of_limit),
        count(at_calls.starts),
        count(at_calls.share_of_limit.clusters),
    )


def bounds_table(record: DemoRecord) -> Table:
    """The bound at uniform starts, and the interval of whole decodes, family by family."""
    bound, decodes = "Uniform starts: ergodic renewal bound", "Whole decodes, wherever calls start"
    gap = "Bound minus true limit, at the same starts"
    shown = table_budgets(record)
    budgets = list(dict.fromkeys(item.node_budget for of in record.decodes for item in of.intervals))
    return Table(
        "bounds",
        "Bounds on tokens per call",
        (
            Column("family", "Family"),
            Column("oracle_contexts", "starts searched", about="starts"),
            *(Column(f"ergodic_bound_p{budget}", f"P = {budget}", bound, about="bound") for budget in shown),
            *(
                Column(f"bound_minus_limit_p{budget}", f"P = {budget}", gap, about="bound")
                for budget in shown
            ),
            *(
                column
                for budget in budgets
                for column in (
                    Column(
                        f"decode_certified_p{budget}", f"P = {budget}: certified", decodes, about="decodes"
                    ),
                    Column(f"decode_most_p{budget}", f"P = {budget}: none exceeds", decodes, about="decodes"),
                )
            ),
        ),
        tuple(
            (
                words(panel_title(limits, record)),
                count(limits.oracle_contexts),
                *(estimate(at_budget(limits, "ergodic_renewal", budget)) for budget in shown),
                *(difference(_gap(limits, budget)) for budget in shown),
                *(cell for budget in budgets for cell in _decode_cells(record, limits, budget)),
            )
            for limits in record.limits
        ),
    )


def _gap(limits: FamilyLimits, budget: int) -> Estimate | None:
    return next((item.gap for item in limits.over_oracle if item.node_budget == budget), None)


def _decode_cells(record: DemoRecord, limits: FamilyLimits, budget: int) -> tuple[Cell, Cell]:
    wanted = (limits.family, limits.temperature)
    found = [
        item
        for of in record.decodes
        for item in of.intervals
        if _place(of) == wanted and item.node_budget == budget
    ]
    if not found:
        return missing(), missing()
    certified, most = found[0].certified, found[0].none_exceeds
    return (
        Cell(
            certified.value,
            significant(certified.value),
            f"≥ {significant(certified.lower)}",
            certified.lower,
        ),
        Cell(most.value, significant(most.value), f"≤ {significant(most.upper)}", None, most.upper),
    )


def _place(decodes: FamilyDecodes) -> tuple[str, float]:
    return decodes.family, decodes.temperature


def decoding_table(record: DemoRecord, runs: tuple[DecodingSummary, ...], name: str, caption: str) -> Table:
    """One row per run: tokens per call, speed against plain decoding, and what explains them."""
    speed = "Tokens per second"
    plain = plain_decoder_names(record)
    of_families = name != "decoding"
    return Table(
        name,
        caption,
        (
            *([Column("family", "Family")] if of_families else []),
            Column("drafter", "Drafter", is_text=True),
            Column("temperature", "T"),
            Column("prompts", "Prompts"),
            Column("tokens_per_call", "Tokens per call", about="measured-tokens"),
            Column("speed_up", "Speed-up", about="paired-speed-up"),
            Column("verdict", is_shown=False),
            Column("drafted_tokens_per_second", "drafted", speed, about="measured-speed"),
            Column("plain_tokens_per_second", "plain", speed, about="measured-speed"),
            *(
                Column(f"plain_tokens_per_second_{place + 1}", decoder, is_shown=False)
                for place, decoder in enumerate(plain)
            ),
            Column("node_budget", is_shown=False),
            Column("nodes_per_call", "Nodes per call", about="nodes"),
            Column("rule", is_shown=False),
            Column("tokens", is_shown=False),
            Column("calls", is_shown=False),
            Column("branching_calls", is_shown=False),
            Column("looping_share", "Looping text", about="looping"),
            Column("differs_at_near_ties", "Differs from greedy", about="greedy"),
            Column("differs_elsewhere", is_shown=False),
        ),
        tuple(_decoding_row(run, plain, of_families) for run in runs),
    )


def _decoding_row(run: DecodingSummary, plain: list[str], of_families: bool) -> tuple[Cell, ...]:
    return (
        *([words(run.family)] if of_families else []),
        words(run.drafter),
        Cell(run.temperature, f"{run.temperature:g}"),
        count(run.prompts),
        estimate(run.tokens_per_call),
        _speed_up(run.speed_up),
        words(run.speed_up.verdict),
        number(run.tokens_per_second),
        number(run.plain_tokens_per_second),
        *(number(run.plain_decoders.get(decoder)) for decoder in plain),
        count(run.node_budget),
        number(run.nodes_per_call, f"P ≤ {run.node_budget}"),
        words(run.rule),
        count(run.tokens),
        count(run.calls),
        count(run.branching_calls),
        share(run.looping_share),
        _differs(run),
        count(run.divergences_other),
    )


def _speed_up(speed_up: SpeedUp) -> Cell:
    value = speed_up.estimate
    ends = interval(value)
    told = TOO_FEW if value.clusters < FEWEST_PROMPTS else speed_up.verdict + (f", {ends}" if ends else "")
    is_bad = speed_up.verdict == "slower" and value.clusters >= FEWEST_PROMPTS
    return Cell(value.value, ratio(value.value), told, value.low, value.high, is_bad)


def _differs(run: DecodingSummary) -> Cell:
    if run.divergences_near_tie is None:
        return missing()
    note = f"{run.divergences_other} elsewhere"
    return Cell(
        run.divergences_near_tie,
        f"{run.divergences_near_tie} at near ties",
        note,
        is_bad=bool(run.divergences_other),
    )


def time_table(record: DemoRecord) -> Table:
    """Milliseconds per token by phase, drafted and plain, all families together."""
    return Table(
        "time",
        "Where the time of a token goes, milliseconds",
        (
            Column("decoder", "Decoder"),
            Column("temperature", "T"),
            Column("total_ms", "All", about="time"),
            *(Column(f"{phase.name}_ms", phase.label, about="time") for phase in PHASES),
        ),
        tuple(
            (
                words(row.decoder),
                Cell(row.temperature, f"{row.temperature:g}"),
                number(row.milliseconds),
                *(number(row.by_phase.get(phase.name)) for phase in PHASES),
            )
            for row in time_rows(record)
        ),
    )


def acceptance_table(record: DemoRecord) -> Table:
    """How often a draft at each depth was accepted, all families together."""
    return Table(
        "acceptance",
        "Acceptance by depth of the draft, all families together",
        (
            Column("drafter", "Drafter"),
            Column("temperature", "T"),
            Column("depth", "Depth"),
            Column("calls_offered", "Calls that offered one", about="accepted"),
            Column("calls_accepted", "Calls that accepted one", about="accepted"),
            Column("accepted_of_offered", "Accepted of offered", about="accepted"),
            Column("accepted_of_all_calls", "Accepted of all calls", about="accepted"),
        ),
        tuple(
            (
                words(run.drafter),
                Cell(run.temperature, f"{run.temperature:g}"),
                count(depth.depth),
                count(depth.offered),
                count(depth.accepted),
                Cell(depth.accepted / depth.offered, percent(depth.accepted / depth.offered)),
                Cell(depth.accepted / run.calls, percent(depth.accepted / run.calls)),
            )
            for run in record.overall
            for depth in run.acceptance
        ),
    )


def profile_table(record: DemoRecord) -> Table:
    """Entropy of the target, from full laws and from sampled log-probabilities."""
    mu, mu2 = "μ, nats per token", "μ₂, nats²"
    return Table(
        "profile",
        "Entropy profile at the contexts that sampling visits, ± one standard error",
        (
            Column("family", "Family"),
            Column("prompts", "Prompts"),
            Column("tokens", "Tokens"),
            Column("mu_full_nats", "full", mu, about="mu"),
            Column("mu_sampled_nats", "sampled", mu, about="mu"),
            Column("mu2_full_nats2", "full", mu2, about="mu2"),
            Column("mu2_sampled_nats2", "sampled", mu2, about="mu2"),
        ),
        tuple(
            (
                words(profile.family),
                count(profile.prompts),
                count(profile.tokens),
                with_error(profile.full_mu),
                with_error(profile.sampled_mu),
                with_error(profile.full_mu2),
                with_error(profile.sampled_mu2),
            )
            for profile in record.profiles
        ),
    )


def prompts_table(record: DemoRecord) -> Table:
    """Every prompt in every setting, for computing with: it is a file only."""
    return Table(
        "prompts",
        "Every prompt in every setting",
        tuple(
            map(
                Column,
                (
                    "prompt_id",
                    "family",
                    "drafter",
                    "rule",
                    "temperature",
                    "node_budget",
                    "tokens",
                    "calls",
                    "expected_tokens",
                    "limit_tokens",
                    "log_speed_up",
                ),
            )
        ),
        tuple(
            (
                words(row.prompt_id),
                words(row.family),
                words(row.drafter),
                words(row.rule),
                number(row.temperature),
                count(row.node_budget),
                count(row.tokens),
                count(row.calls),
                number(row.expected_tokens),
                number(row.limit_tokens),
                number(row.log_speed_up),
            )
            for row in record.prompt_totals
        ),
    )


def _temperature(temperature: float) -> str:
    return f"temperature {temperature:g}"
