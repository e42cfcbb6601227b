"""Decoded answers as the record keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.decoding.call_trace import CallTrace, PhaseSeconds
from speclight.decoding.generate import Generation
from speclight.errors import InvalidInput
from speclight.measure.decoded_run.decoding import DecodedPrompt
from speclight.measure.decoded_run.record import CallStart, DecodedText, RecordedCall, RoundTotals
from speclight.measure.run_checks import scored_text
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings
from speclight.theory.laws.sampled_text import SampledText


def decoded_text(
    model: CausalLM,
    drafted: Sequence[DecodedPrompt],
    plain: Sequence[DecodedPrompt],
    sampling: SamplingSettings,
    starts: Sequence[CallStart] = (),
    known: SampledText | None = None,
) -> DecodedText:
    """One turn decoded in every round, drafted and plainly, with the target's log-probabilities of its text.

    known: the first round's text as `scored_text` gives it; the target reads it here if not given.
    Raises InvalidInput if the first round's traces were recorded without target_log_probs.
    """
    first = drafted[0]
    made = first.generation
    if known is None:
        known = scored_text(model, first.prompt_ids, made.token_ids, sampling, first.prompt.prompt_id)
    return DecodedText(
        prompt_id=first.prompt.prompt_id,
        family=first.prompt.family,
        turn=first.asked.turn,
        prompt_token_ids=tuple(first.prompt_ids),
        token_ids=made.token_ids,
        log_probs=-known.surprisals,
        ended=known.ended,
        calls=tuple(map(_call, made.calls)),
        starts=tuple(starts),
        drafted=tuple(_totals(each.generation) for each in drafted),
        plain=tuple(_totals(each.generation) for each in plain),
    )


def _call(trace: CallTrace) -> RecordedCall:
    if trace.target_log_probs is None:
        raise InvalidInput(
            "this trace holds no target log-probabilities; decode with record_target_log_probs=True"
        )
    return RecordedCall(
        start=trace.start,
        tokens=trace.tree.tokens,
        parents=trace.tree.parents,
        drafter_log_probs=trace.tree.log_probs,
        target_log_probs=trace.target_log_probs,
        accepted=len(trace.path),
        emitted=trace.tokens_emitted,
        tokens_by_rule=trace.tokens_by_rule,
        seconds=trace.seconds,
    )


def _totals(made: Generation) -> RoundTotals:
    calls = made.calls
    return RoundTotals(
        calls=len(calls),
        accepted=sum(len(call.path) for call in calls),
        emitted=len(made.token_ids),
        seconds=PhaseSeconds(
            draft=sum(call.seconds.draft for call in calls),
            target=sum(call.seconds.target for call in calls),
            verify=sum(call.seconds.verify for call in calls),
            commit=sum(call.seconds.commit for call in calls),
        ),
    )
