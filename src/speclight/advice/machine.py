"""The prices of a trace's configurations on the machine whose call times were recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np

from speclight.advice.prices import CallPrices
from speclight.advice.speed_limit import check_target_timed
from speclight.drafting.drafter_labels import label_planned
from speclight.errors import InvalidInput
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.trace.record import Trace


def prices_of(
    trace: Trace,
    times: LatencyRecord,
    batch_size: int,
    context_tokens: float | None = None,
    loop_seconds: float | None = None,
) -> CallPrices:
    """What calls take there, texts of a batch together.

    context_tokens: committed before a call; as in the trace, on average, if None. loop_seconds: as in
    CallPrices. Raises InvalidInput if the
    call times are of other weights than the trace, for a batch size that was not timed, and for two timed
    drafters of one name.
    """
    check_target_timed(times, trace.target, trace.weights_sha256)
    names = [label_planned(drafter) for drafter in times.plan.get("drafters") or ()]
    (name, count), *_ = Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise InvalidInput(
            f"the call times hold {count} drafters called {name!r}, expected each name once; time them into "
            "folders of their own",
            argument="latency",
        )
    context = mean_context_tokens(trace) if context_tokens is None else context_tokens
    by_name = dict(zip(names, times.drafters, strict=True))
    loops = {loop.drafter: loop for loop in times.loops}
    return CallPrices(times.of_batch(batch_size), context, by_name, loop_seconds, loops)


def mean_context_tokens(trace: Trace, families: Collection[str] | None = None) -> float:
    """Tokens before a start of the trace, or of some families, the prompt's included, on average.

    Families that the trace does not hold are left out.
    """
    prompts = {
        (text.prompt_id, text.sample, text.turn): len(text.prompt_token_ids) for text in trace.profile.texts
    }
    before = [
        prompts[start.prompt_id, start.sample, start.turn] + start.start
        for start in trace.starts
        if families is None or start.family in families
    ]
    return float(np.mean(before)) if before else 0.0
