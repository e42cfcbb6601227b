"""The prices of a trace's configurations on the machine whose call times were recorded."""

from __future__ import annotations

from collections import Counter

import numpy as np

from speclight.advice.prices import CallPrices
from speclight.errors import InvalidInput
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.trace.record import Trace


def prices_of(
    trace: Trace,
    times: LatencyRecord,
    batch_size: int,
    context_tokens: float | None = None,
    loop_seconds: float = 0.0,
) -> CallPrices:
    """What calls take there, texts of a batch together.

    context_tokens: committed before a call; as in the trace, on average, if None. Raises InvalidInput if the
    call times are of other weights than the trace, for a batch size that was not timed, and for two timed
    drafters of one name.
    """
    timed = times.plan.get("weights_sha256")
    if timed is not None and trace.weights_sha256 is not None and timed != trace.weights_sha256:
        raise InvalidInput(
            f"the call times are of {times.target} with other weights than {trace.target} has in the trace, "
            "expected one target in both; time the calls of the target that was traced",
            argument="latency",
        )
    names = [str(drafter["name"]) for drafter in times.plan.get("drafters") or ()]
    (name, count), *_ = Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise InvalidInput(
            f"the call times hold {count} drafters called {name!r}, expected each name once; time them into "
            "folders of their own",
            argument="latency",
        )
    context = mean_context_tokens(trace) if context_tokens is None else context_tokens
    by_name = dict(zip(names, times.drafters, strict=True))
    return CallPrices(times.of_batch(batch_size), context, by_name, loop_seconds)


def mean_context_tokens(trace: Trace) -> float:
    """Tokens before a start of the trace, the prompt's included, on average."""
    prompts = {
        (text.prompt_id, text.sample, text.turn): len(text.prompt_token_ids) for text in trace.profile.texts
    }
    before = [prompts[start.prompt_id, start.sample, start.turn] + start.start for start in trace.starts]
    return float(np.mean(before))
