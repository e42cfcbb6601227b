"""What the numbers of the what-if part mean, and which commands make them."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.report.number_format import FEWEST_PROMPTS
from speclight.report.page.definitions import Definition


@dataclass(frozen=True, slots=True)
class Commands:
    """Which commands recorded the texts with their drafts, timed the calls, and made the page."""

    texts: str
    times: str
    page: str


def what_if_definitions(commands: Commands) -> tuple[Definition, ...]:
    """Every number of the part, the most read first."""
    return (*_of_calls(commands), *_of_limits(commands), *_of_comparison(commands), *_steps(commands))


def _of_calls(commands: Commands) -> tuple[Definition, ...]:
    return (
        Definition(
            "budget",
            "P, the node budget",
            "positions scored in one target call: the last token of the text and P - 1 drafted ones. Plain "
            "decoding is P = 1.",
        ),
        Definition(
            "tokens-per-call",
            "Tokens per call",
            "tokens emitted over target calls; the target’s own token counts, so plain decoding has 1. Here "
            "it is an expectation: at each start of a call the target’s probabilities of the drafted paths, "
            "summed, weighted by how often a decode with this very setting starts a call there.",
            commands.texts,
        ),
        Definition(
            "tokens-per-second",
            "Tokens per second",
            "tokens per call over the seconds of a mean call: the target’s pass at the sizes that the trees "
            "really have, drafting, and the loop around them.",
            commands.times,
        ),
    )


def _of_limits(commands: Commands) -> tuple[Definition, ...]:
    return (
        Definition(
            "limit",
            "Limit at this P",
            "tokens per call that no decode with deterministic drafts and trees of P nodes exceeds on these "
            "texts, wherever its calls start and whatever drafts (the decode bound, from the "
            "log-probabilities of the texts alone).",
            commands.texts,
        ),
        Definition(
            "limit-speed",
            "Limit in tokens per second",
            "the limit at this P over the time of a call with P nodes, drafting free. A share of the limit "
            "is the drafter’s speed over it.",
            commands.page,
        ),
        Definition(
            "speed-bound",
            "Limit of this machine",
            "tokens per second that no decode of these texts with deterministic drafts exceeds at these call "
            "times, whatever the sizes of its trees, drafting and the loop free.",
            commands.page,
        ),
    )


def _of_comparison(commands: Commands) -> tuple[Definition, ...]:
    return (
        Definition("speed-up", "Speed-up", "tokens per second over those of plain decoding.", commands.page),
        Definition(
            "interval",
            "Intervals",
            "95%, from prompts alone (t quantiles, clustered by prompt); call times count as known. Fewer "
            f"than {FEWEST_PROMPTS} prompts, or an interval wider than the number, are too few to say.",
        ),
    )


def _steps(commands: Commands) -> tuple[Definition, ...]:
    return (
        Definition(
            "step-decode_bound",
            "Limit at this P, as a step",
            "where the steps begin: the limit in tokens per call, every call as fast as a plain one.",
            commands.texts,
        ),
        Definition(
            "step-call_starts",
            "Where calls start",
            "what the target’s own best trees of P nodes emit where this drafter’s calls start, over the "
            "limit: slack of the limit, or what is won by trees that look to where the next call starts.",
            commands.texts,
        ),
        Definition(
            "step-knowledge",
            "Drafter’s knowledge",
            "the drafter’s P likeliest nodes over the target’s best ones: a better drafter wins it back.",
            commands.texts,
        ),
        Definition(
            "step-shape",
            "Tree and rule",
            "the tree as grown, under its rule, over the drafter’s P likeliest nodes: another way to grow "
            "wins it back.",
            commands.texts,
        ),
        Definition(
            "step-call_time",
            "Call time, T(1)/T(P)",
            "a plain call’s time over that of a call with the tree: smaller trees, or hardware with idle "
            "arithmetic, win it back.",
            commands.times,
        ),
        Definition(
            "step-drafting",
            "Drafting",
            "the target’s share of target and drafting time: a faster drafter wins it back.",
            commands.times,
        ),
        Definition(
            "step-loop",
            "Loop overhead",
            "verifying and committing, and in a measured run whatever else its calls took beyond the call "
            "time, as a share of a call, against plain decoding’s.",
            commands.page,
        ),
    )
