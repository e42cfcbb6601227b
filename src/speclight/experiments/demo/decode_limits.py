"""Limits of whole decodes: the interval for tokens per call, and the most tokens per second here."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.experiments.demo.drafter_run import DrafterRun
from speclight.experiments.demo.record import (
    CallTimes,
    DecodeCheck,
    DecodeInterval,
    FamilyDecodes,
    SpeedLimit,
)
from speclight.measure.decoded_run.decoding import PLAIN_DECODERS
from speclight.measure.latency.calls import CallTimer, time_calls
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.paired_times import TimedPrompt, tokens_per_second
from speclight.measure.profile import Profile
from speclight.measure.run_checks import check_decode, scored_text
from speclight.models.causal_lm import CausalLM
from speclight.models.readings import Readings
from speclight.theory.ergodic.certificates import certified_decode
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.seconds import fastest_decode
from speclight.theory.laws.sampled_text import SampledText

# P shown beside that of the decoding, as far as the oracle goes.
LARGER_BUDGETS = (16, 64)
# Sizes of trees whose calls are timed; T(k) is taken as straight in between.
TIMED_SIZES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def family_decodes(profile: Profile, family: str, node_budget: int, largest_budget: int) -> FamilyDecodes:
    """The intervals of one family at node_budget and every larger P shown, up to `largest_budget`."""
    texts = profile.sampled_texts(family)
    budgets = sorted({min(budget, largest_budget) for budget in (node_budget, *LARGER_BUDGETS)})
    return FamilyDecodes(
        family,
        profile.settings.sampling.temperature,
        tuple(
            DecodeInterval(budget, certified_decode(texts, budget), decode_bound(texts, budget).going_on)
            for budget in budgets
        ),
    )


def call_times_along(model: CausalLM, profile: Profile, largest_tree: int, rounds: int) -> CallTimeCurve:
    """Seconds of a target call at the shortest and at the longest context that decodes of the texts have."""
    short = min((text.prompt_token_ids for text in profile.texts), key=len)
    longest = max(((*text.prompt_token_ids, *text.token_ids) for text in profile.texts), key=len)
    largest = max(1, min(largest_tree, model.context_window - len(short) - 1))
    sizes = [size for size in TIMED_SIZES if size < largest] + [largest]
    timer = CallTimer(model, [short, longest[: model.context_window - largest]], sizes)
    taken = time_calls(timer, rounds)
    return CallTimeCurve.of_rounds(timer.node_budgets, timer.context_tokens, taken[:, 0])


def scored_texts(model: CausalLM, run: DrafterRun, readings: Readings | None = None) -> list[SampledText]:
    """The texts that a run decoded, with the target's surprisals. readings: see `scored_text`."""
    return [
        scored_text(
            model,
            item.prompt_ids,
            item.generation.token_ids,
            run.settings.sampling,
            item.prompt.prompt_id,
            readings,
        )
        for item in run.decoded
    ]


def limit_checks(runs: Sequence[tuple[DrafterRun, Sequence[SampledText]]]) -> tuple[DecodeCheck, ...]:
    """A check of each run, above temperature 0, against the decode bound of its texts, given beside it."""
    return tuple(
        DecodeCheck(
            run.drafter,
            run.temperature,
            check_decode(texts, [len(item.generation.calls) for item in run.decoded], run.node_budget),
        )
        for run, texts in runs
    )


def speed_limit(
    profile: Profile, times: CallTimeCurve, timed: Sequence[TimedPrompt], drafters: Sequence[str]
) -> SpeedLimit:
    """The limit of all families' texts together, beside what plain decoding and each drafter did."""
    texts = [text for family in profile.families for text in profile.sampled_texts(family)]
    shortest, growth = int(times.context_tokens[0]), times.least_seconds_per_context_token
    contexts = [
        len(text.prompt_token_ids) - shortest
        for family in profile.families
        for text in profile.of_family(family)
    ]
    fastest = fastest_decode(texts, times.by_size(shortest), growth, contexts)
    return SpeedLimit(
        temperature=profile.settings.sampling.temperature,
        limit=fastest.going_on,
        largest_tree=int(times.nodes[-1]),
        call_times=CallTimes(tuple(times.nodes.tolist()), tuple(times.medians[0].tolist()), shortest, growth),
        plain_tokens_per_second=max(tokens_per_second(timed, name) for name in PLAIN_DECODERS),
        drafters={name: tokens_per_second(timed, name) for name in drafters},
    )
