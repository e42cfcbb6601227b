"""What was possible where calls of a decoded text start: the target's best trees, the drafter's likeliest."""

from __future__ import annotations

from speclight.drafting.protocol import LawSource
from speclight.measure.decoded_run.record import CallStart, DecodedText
from speclight.measure.trace.along import traced_starts
from speclight.measure.trace.settings import TraceSettings
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings

DRAFTER = "drafter"


def possible_at_starts(
    model: CausalLM,
    text: DecodedText,
    node_budget: int,
    sampling: SamplingSettings,
    source: LawSource | None,
) -> tuple[CallStart, ...]:
    """The best tree of `node_budget` nodes at the start of every call, and the likeliest nodes of a drafter.

    source: the drafter's law for deterministic drafts, led along the text anew; what it would have learned
    from scores of rejected drafts (lookahead) it does not know. None where the trees of the calls are those
    likeliest nodes already. Raises ContextOverflow where a tree of that many nodes leaves the window.
    """
    found = traced_starts(
        model,
        text.profiled,
        [call.start - len(text.prompt_token_ids) for call in text.calls],
        {} if source is None else {DRAFTER: source},
        TraceSettings(node_budgets=(node_budget,), growths=("best_first",), lookahead=1),
        sampling,
    )
    return tuple(
        CallStart(
            start.best,
            call.target_path_log_probs
            if source is None
            else start.drafters[DRAFTER].tree.target_path_log_probs,
        )
        for start, call in zip(found, text.calls, strict=True)
    )
