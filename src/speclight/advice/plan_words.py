"""A plan in words: what to do, and why."""

from __future__ import annotations

from collections.abc import Iterator

from speclight.advice.plan import Plan
from speclight.advice.prediction import Prediction
from speclight.measure.estimates import Estimate


def recommendation(plan: Plan) -> str:
    """What to do, in one sentence."""
    best = plan.best
    if best.configuration.is_plain:
        return f"Do not speculate: plain decoding gives {best.tokens_per_second.value:.1f} tokens per second."
    speed_up = plan.speed_up(best)
    said = (
        f"Draft with {best.configuration}: {best.tokens_per_second.value:.1f} tokens per second"
        f"{_between(best.tokens_per_second)}, {speed_up.value:.2f} times plain decoding."
    )
    if speed_up.low is not None and speed_up.low <= 1.0:
        return f"{said} Whether that is faster than plain decoding is not decided by this trace."
    return said


def reasons(plan: Plan) -> tuple[str, ...]:
    """Why, sentence by sentence: what a call of the best draft brings and takes, and what the limit is."""
    said: list[str] = []
    draft = plan.best_draft
    if draft is None:
        said.append("No drafter of the trace has been timed, so none could be compared with plain decoding.")
    else:
        said.append(_call(plan, draft))
        said.extend(_evidence(plan, draft))
    if plan.best.configuration.is_plain or draft is None:
        said.append(_limit(plan))
    if plan.limit is not None:
        said.append(_most(plan, plan.limit))
    if plan.unpriced:
        said.append(f"Left out, because nobody timed their drafting: {'; '.join(plan.unpriced)}.")
    return tuple(said)


def _call(plan: Plan, draft: Prediction) -> str:
    plain = plan.plain.target_seconds
    whole = draft.target_seconds + draft.draft_seconds + draft.loop_seconds
    times = whole / (plain + plan.plain.loop_seconds)
    verdict = "less" if draft.tokens_per_call < times else "more"
    named = draft.configuration if plan.best is not draft else "It"
    return (
        f"{named} emits {draft.tokens_per_call:.2f} tokens a call, which takes {times:.2f} times as long as "
        f"a plain one ({_ms(draft.target_seconds)} for its nodes, {_ms(draft.draft_seconds)} of drafting and "
        f"{_ms(draft.loop_seconds)} around them against {_ms(plain)} and "
        f"{_ms(plan.plain.loop_seconds)}): it brings {verdict} than it takes."
    )


def _evidence(plan: Plan, draft: Prediction) -> Iterator[str]:
    """What the numbers of the draft rest on besides its own prompts."""
    if draft.own_share == 0.0:
        yield (
            "The prompts of these texts do not tell them from those of other families; what is said of "
            f"{draft.configuration.drafter} is what all of them say."
        )
    elif draft.own_share < 1.0 and len(plan.mix) == 1:
        yield (
            f"How well {draft.configuration.drafter} does here is to {100.0 * draft.own_share:.0f}% what "
            f"these texts' own {draft.tokens_per_second.clusters} prompts say, to the rest what all families "
            "of the trace say."
        )
    if round(100.0 * draft.taken_off) > 0:
        yield (
            f"The fastest of {len(plan.predictions) - 1} is the fastest in part by luck: "
            f"{100.0 * draft.taken_off:.0f}% were taken off for it."
        )


def _limit(plan: Plan) -> str:
    oracle, plain = plan.oracle, plan.plain.tokens_per_second.value
    if oracle.node_budget == 1:
        return (
            "Not even the target's own best trees, drafted for nothing, would pay at any node budget timed: "
            "here a call's time grows faster with its nodes than the tokens it can emit."
        )
    return (
        "The target's own best trees, drafted for nothing, would give "
        f"{oracle.tokens_per_second / plain:.2f} times the speed at P = {oracle.node_budget}, so a better or "
        "faster drafter could pay."
    )


def _most(plan: Plan, limit: float) -> str:
    at_once = "" if plan.batch_size == 1 else f" of {plan.batch_size} texts at once, sharing their nodes,"
    share = 100.0 * plan.best.tokens_per_second.value / limit
    return (
        f"No decode{at_once} with deterministic drafts and trees up to {plan.largest_budget} nodes exceeds "
        f"{limit:.1f} tokens per second here, drafting and loop for nothing; this is {share:.0f}% of it."
    )


def _between(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    if estimate.is_wide:
        return " (too few prompts for an interval that says something)"
    return f" (95% interval {estimate.low:.1f} to {estimate.high:.1f})"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
