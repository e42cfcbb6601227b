"""What the numbers of the report mean, and the commands that make each of them anew."""

from __future__ import annotations

from speclight.report.demo.selection import FEWEST_OFFERED
from speclight.report.number_format import FEWEST_PROMPTS
from speclight.report.page.definitions import Definition
from speclight.report.what_if.definitions import Commands, what_if_definitions

DEMO = "speclight demo"
PROFILE = "speclight profile --out out/profile"
BOUND = "speclight bound --profile out/profile --budget 8,16,64"


def report_definitions(drafter: str, node_budget: int) -> tuple[Definition, ...]:
    """All of them, those of the what-if part among them. drafter, node_budget: of the headline's run."""
    gap = f"speclight gap --drafter {drafter} --budget {node_budget} --temperature 1"
    return (
        *what_if_definitions(Commands(DEMO, DEMO, DEMO)),
        *_of_calls(gap),
        *_of_limits(gap),
        *_of_texts(),
        *_of_runs(gap),
        *_of_decoding(),
    )


def _of_calls(gap: str) -> tuple[Definition, ...]:
    """Tokens of a call, possible and expected."""
    return (
        Definition(
            "oracle",
            "The limit, or oracle",
            "the sum of the target’s path probabilities over the best tree of P nodes, found with the target "
            "itself, averaged over call starts; it holds for drafting whose tokens are accepted with the "
            "target’s own probability of them.",
            "speclight oracle --budget 64",
        ),
        Definition(
            "expected",
            "Expected tokens per call",
            "the same sum over the tree that the drafter drafted.",
            gap,
        ),
        Definition(
            "share",
            "Share of the limit",
            "the drafter’s expected tokens per call over the limit’s, totals over totals, at the same "
            "starts.",
            gap,
        ),
    )


def _of_limits(gap: str) -> tuple[Definition, ...]:
    """Limits by where calls start, and what was lost on the way down from one."""
    return (
        Definition(
            "starts",
            "Uniform starts, call starts",
            "where the calls begin over which a mean is taken. Uniform: every position of sampled text "
            "alike. Call starts: where the drafter’s own calls began; a call that breaks off leaves the "
            "next one at a hard place. The two are different quantities.",
        ),
        Definition(
            "bound",
            "Ergodic renewal bound",
            "the most that any deterministic draft tree of P nodes can yield at uniform starts, from the "
            "log-probabilities of sampled text alone, contexts being as dependent as they are.",
            BOUND,
        ),
        Definition(
            "decodes",
            "Whole decodes",
            "the limit wherever calls start: certified is what a decode that exists reaches, none exceeds is "
            "what no decode with deterministic drafts exceeds; each with its one-sided 95% limit.",
            BOUND,
        ),
        Definition(
            "measured-step",
            "Where the speed goes, measured",
            "ratios of totals over the run’s own calls, from the limit at this P with every call as fast "
            "as a plain one, down to the speed measured. They multiply to the speed-up over the plain "
            "loop, exactly.",
            gap,
        ),
    )


def _of_texts() -> tuple[Definition, ...]:
    """How uncertain the target is."""
    return (
        Definition(
            "mu",
            "μ",
            "mean entropy of the target’s next-token law over the contexts visited, in nats per token.",
            PROFILE,
        ),
        Definition("mu2", "μ₂", "mean of Σ p (ln p)² over the same contexts, in nats².", PROFILE),
        Definition(
            "full",
            "Full and sampled",
            "full uses every logit of a context; sampled uses only the log-probability of the sampled token, "
            "which is what an inference API returns.",
        ),
        Definition(
            "error",
            "±",
            f"one standard error, clustered by prompt. Fewer than {FEWEST_PROMPTS} prompts are too few for "
            "an interval.",
        ),
    )


def _of_runs(gap: str) -> tuple[Definition, ...]:
    """What the drafters did, measured."""
    return (
        Definition(
            "measured-tokens",
            "Tokens per call, measured",
            "tokens emitted over target calls of the run, totals over totals.",
            gap,
        ),
        Definition(
            "paired-speed-up",
            "Speed-up, measured",
            "tokens per second over plain decoding’s, prefill excluded: drafted and plain take turns on "
            "each prompt, and the geometric mean of the ratios is shown. plain is the faster of the "
            "decoders named. “Not decided”: the 95% interval spans 1, or a single prompt gives none.",
            gap,
        ),
        Definition(
            "measured-speed",
            "Tokens per second, measured",
            "tokens emitted over wall time, prefill excluded.",
            gap,
        ),
        Definition(
            "nodes",
            "Nodes per call",
            "positions scored in a mean call; P is a ceiling, a miss of the drafter scores the root alone.",
            gap,
        ),
    )


def _of_decoding() -> tuple[Definition, ...]:
    """How they did it."""
    return (
        Definition(
            "time",
            "Time of a token",
            "wall time over emitted tokens: drafting, the target’s forward pass, verification, and the rest "
            "(keeping what was accepted). Shares of the first round, on the speed of all rounds; prefill "
            "excluded.",
            DEMO,
        ),
        Definition(
            "accepted",
            "Accepted of offered",
            "of the calls that came as deep and whose tree went on there, the share that accepted a draft "
            f"there. Drawn from {FEWEST_OFFERED} such calls on.",
            DEMO,
        ),
        Definition(
            "looping",
            "Looping text",
            "share of emitted tokens that only repeat a cycle of the text, which is easy to draft.",
            DEMO,
        ),
        Definition(
            "branching", "Branching calls", "calls whose tree had a branch; all others were chains.", DEMO
        ),
        Definition(
            "greedy",
            "Differs from greedy",
            "texts at temperature 0 that left plain greedy decoding’s: at a near tie of the two best logits, "
            "where rounding decides, or elsewhere, which would be an error.",
            DEMO,
        ),
    )
