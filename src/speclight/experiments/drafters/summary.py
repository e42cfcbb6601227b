"""The comparison of drafters in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import FOR_ANALYSIS, NO_DRAFTER
from speclight.experiments.drafters.run import DraftedText, DrafterComparison
from speclight.measure.estimates import Estimate, ratio_of_totals, within
from speclight.measure.looping import looping_tokens


@dataclass(frozen=True, slots=True)
class FamilyTokens:
    """Tokens per call of one family."""

    family: str
    tokens_per_call: Estimate


@dataclass(frozen=True, slots=True)
class DrafterRow:
    """One drafter at one temperature, all families together; totals over totals.

    tokens_per_call: with the target's own token, 95% interval clustered by prompt. nodes_per_call: positions
    scored, root included. drafter_calls_per_call: batched drafter calls for one draft.
    Times are those of all calls but the first of each text, which follows the prompt's own pass and on which
    some drafters read the prompt: draft_share and loop_share (verifying and committing) of a call's time,
    tokens_per_second, and speed_up, its ratio to plain decoding's; None where every text was one call.
    looping_share: of the emitted tokens, those that only repeat a cycle of the text.
    near_tie_divergences, other_divergences: greedy texts that left plain decoding's, by cause; None above
    temperature 0.
    """

    drafter: str
    layers: int | None
    is_for_analysis: bool
    temperature: float
    texts: int
    tokens: int
    calls: int
    tokens_per_call: Estimate
    by_family: tuple[FamilyTokens, ...]
    nodes_per_call: float
    drafter_calls_per_call: float
    draft_share: float | None
    loop_share: float | None
    milliseconds_per_call: float | None
    tokens_per_second: float | None
    speed_up: float | None
    looping_share: float
    near_tie_divergences: int | None
    other_divergences: int | None


def summarise_drafters(comparison: DrafterComparison) -> tuple[DrafterRow, ...]:
    """One row for each temperature and drafter, in this order."""
    rows: list[DrafterRow] = []
    for temperature in comparison.settings.temperatures:
        by_drafter = {
            drafter: [
                text
                for text in comparison.texts
                if (text.drafter, text.temperature) == (drafter.name, temperature)
            ]
            for drafter in comparison.drafters
        }
        plain = _speed(by_drafter[ComparedDrafter(NO_DRAFTER)])
        rows += [_row(drafter, texts, plain) for drafter, texts in by_drafter.items()]
    return tuple(rows)


def _row(drafter: ComparedDrafter, texts: Sequence[DraftedText], plain: float | None) -> DrafterRow:
    calls = sum(len(text.tokens) for text in texts)
    tokens = sum(len(text.token_ids) for text in texts)
    seconds = {
        "draft": _later(texts, lambda text: text.draft_seconds),
        "target": _later(texts, lambda text: text.target_seconds),
        "loop": _later(texts, lambda text: text.verify_seconds) + _later(texts, lambda t: t.commit_seconds),
    }
    total, timed = sum(seconds.values()), calls - len(texts)
    speed = _speed(texts)
    is_greedy = texts[0].temperature == 0.0
    divergences = sum(text.margin is not None for text in texts)
    near_ties = sum(text.is_near_tie for text in texts)
    return DrafterRow(
        drafter=drafter.name,
        layers=drafter.layers,
        is_for_analysis=drafter.name in FOR_ANALYSIS,
        temperature=texts[0].temperature,
        texts=len(texts),
        tokens=tokens,
        calls=calls,
        tokens_per_call=_tokens_per_call(texts),
        by_family=tuple(
            FamilyTokens(family, _tokens_per_call([text for text in texts if text.family == family]))
            for family in dict.fromkeys(text.family for text in texts)
        ),
        nodes_per_call=sum(sum(text.nodes) for text in texts) / calls,
        drafter_calls_per_call=sum(sum(text.drafter_calls) for text in texts) / calls,
        draft_share=seconds["draft"] / total if timed else None,
        loop_share=seconds["loop"] / total if timed else None,
        milliseconds_per_call=1000.0 * total / timed if timed else None,
        tokens_per_second=speed,
        speed_up=None if speed is None or plain is None else speed / plain,
        looping_share=sum(looping_tokens(text.token_ids) for text in texts) / tokens,
        near_tie_divergences=near_ties if is_greedy else None,
        other_divergences=divergences - near_ties if is_greedy else None,
    )


def _tokens_per_call(texts: Sequence[DraftedText]) -> Estimate:
    estimate = ratio_of_totals(
        [text.prompt_id for text in texts],
        [float(sum(text.tokens)) for text in texts],
        [float(len(text.tokens)) for text in texts],
    )
    return within(estimate, 1.0, float(max(max(text.nodes) for text in texts)))


def _speed(texts: Sequence[DraftedText]) -> float | None:
    """Tokens per second of all calls but each text's first; None where there are none."""
    tokens = _later(texts, lambda text: text.tokens)
    phases = (
        lambda text: text.draft_seconds,
        lambda text: text.target_seconds,
        lambda text: text.verify_seconds,
        lambda text: text.commit_seconds,
    )
    seconds = sum(_later(texts, phase) for phase in phases)
    return tokens / seconds if tokens else None


def _later(
    texts: Sequence[DraftedText], column: Callable[[DraftedText], tuple[float, ...] | tuple[int, ...]]
) -> float:
    """The sum of a column over all calls but each text's first."""
    return float(sum(sum(column(text)[1:]) for text in texts))
