"""What each factor of a waterfall means, in one sentence: what is lost, what would win it back, how much."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from speclight.advice.waterfall import Factor, FactorName, Waterfall

# Factors closer to 1 than this are called 1.
NEGLIGIBLE = 0.01
LABELS: dict[FactorName, str] = {
    "decode_bound": "decode bound, tokens per call",
    "call_starts": "where calls start",
    "knowledge": "drafter's knowledge",
    "shape": "shape of the tree",
    "rule": "verification rule",
    "luck": "accepted against expected",
    "end": "cut at the text's end",
    "call_time": "call time, T(1)/T(P)",
    "drafting": "drafting",
    "loop": "loop overhead",
}
MS = 1e3


@dataclass(frozen=True, slots=True)
class RunSetup:
    """How the run was decoded, for the sentences. nodes: of a mean tree, root included."""

    drafter: str
    tree: str
    rule: str
    node_budget: int
    nodes: float


def sentences(found: Waterfall, setup: RunSetup) -> dict[FactorName, str]:
    """One sentence for each factor."""
    words = {**_of_tokens(found, setup), **_of_chance(found), **_of_seconds(found, setup)}
    return {factor.name: words[factor.name] for factor in found.factors}


def _of_tokens(found: Waterfall, setup: RunSetup) -> dict[FactorName, str]:
    """From the bound to the tree used and its rule."""
    means, bound = found.means, found.of("decode_bound")
    return {
        "decode_bound": (
            f"No decode with deterministic drafts and trees of {setup.node_budget} nodes averages more than "
            f"{bound.value.value:.2f} tokens per call on these texts, wherever its calls start: "
            f"{bound.tokens_per_second.value:.1f} tokens per second at the pace of plain calls."
        ),
        "call_starts": (
            f"At this run's call starts the target's own best trees emit {means.oracle:.2f} tokens per call; "
            "the rest is slack of the bound, or is won by trees that look to where the next call starts"
            f"{_at_most(found, 'call_starts')}."
        ),
        "knowledge": (
            f"The {setup.node_budget} likeliest nodes of drafter {setup.drafter} emit {means.best:.2f} "
            f"tokens per call, those of the target {means.oracle:.2f}: "
            + _remedy(
                found,
                "knowledge",
                "a drafter that knew what the target knows",
                "the drafter knows what matters",
            )
        ),
        "shape": (
            f"The trees used ({setup.tree}) emit {means.tree:.2f} tokens per call, the drafter's likeliest "
            f"nodes {means.best:.2f}: "
            + _remedy(found, "shape", "best_first trees under target_sample", "no other shape is needed")
        ),
        "rule": (
            f"Rule {setup.rule} is expected to emit {means.rule:.2f} tokens per call of those trees, where "
            f"accepting each draft as often as the target would say it emits {means.tree:.2f}: "
            + _remedy(found, "rule", "target_sample", "no other rule for such drafts is needed")
        ),
    }


def _of_chance(found: Waterfall) -> dict[FactorName, str]:
    means, luck, end = found.means, found.of("luck").value, found.of("end").value.value
    by_chance = luck.low is None or luck.high is None or luck.low <= 1.0 <= luck.high
    return {
        "luck": (
            f"Accepted with the target's own token: {means.accepted:.2f} per call, expected "
            f"{means.rule:.2f}; "
            + (
                "chance makes as much, and there is nothing to win back."
                if by_chance
                else "more than the interval allows for chance, so decode more prompts before believing it."
            )
        ),
        "end": (
            "Next to none of the accepted tokens were cut off at a text's end."
            if _is_one(found.of("end"))
            else f"{100 * (1 - end):.1f}% of the accepted tokens lay behind an end or the length limit and "
            f"were dropped{_at_most(found, 'end', 'longer texts win back')}."
        ),
    }


def _of_seconds(found: Waterfall, setup: RunSetup) -> dict[FactorName, str]:
    means = found.means
    return {
        "call_time": (
            f"A target call takes {MS * means.target_seconds:.1f} ms with trees of {setup.nodes:.1f} nodes "
            f"and {MS * means.plain_target_seconds:.1f} ms with one: "
            + _remedy(
                found,
                "call_time",
                "calls that cost the same whatever they score (idle arithmetic, kernels for few rows)",
                "scoring more nodes is free here, and more of them may pay",
            )
        ),
        "drafting": (
            f"Drafting takes {MS * means.draft_seconds:.2f} ms a call: "
            + _remedy(
                found,
                "drafting",
                "a free drafter (in part: fewer levels, a smaller head)",
                "that costs nothing worth naming",
            )
        ),
        "loop": (
            f"Verifying, committing and the loop take {MS * means.loop_seconds:.2f} ms a call, in plain "
            f"decoding {MS * means.plain_loop_seconds:.2f} ms: "
            + _remedy(
                found,
                "loop",
                "a loop that costs no larger share than the plain one's",
                "that is no larger share of a call than in plain decoding",
            )
        ),
    }


def _remedy(found: Waterfall, name: FactorName, remedy: str, fine: str) -> str:
    """What would win the factor back and how much, or that nothing is lost."""
    factor = found.of(name)
    if _is_one(factor) or (name in ("call_time", "loop") and factor.value.value > 1.0):
        return f"{fine}."
    if factor.value.value > 1.0:
        return f"worth {found.tokens_per_second - factor.without:.1f} tokens per second, keep it."
    return f"{remedy} would win back {_gain(found, factor):.1f} tokens per second."


def _at_most(found: Waterfall, name: FactorName, what: str = "worth") -> str:
    factor = found.of(name)
    if _is_one(factor) or factor.value.value > 1.0:
        return ""
    return f", {what} at most {_gain(found, factor):.1f} tokens per second"


def _gain(found: Waterfall, factor: Factor) -> float:
    return factor.without - found.tokens_per_second


def _is_one(factor: Factor) -> bool:
    return abs(log(factor.value.value)) < NEGLIGIBLE
