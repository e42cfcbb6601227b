"""Every drafter of a comparison beside the decode bound of its own texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speclight.decoding.settings import AUTO
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.experiments.drafters.run import DraftedText, DrafterComparison
from speclight.measure.prompts import Prompt
from speclight.measure.run_checks import LimitCheck, check_decode, scored_text
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids, conversation
from speclight.models.sampling import SamplingSettings


@dataclass(frozen=True, slots=True)
class DrafterCheck:
    """One drafter's texts at one temperature."""

    drafter: str
    temperature: float
    check: LimitCheck


def check_drafters(
    target: CausalLM, prompts: Sequence[Prompt], comparison: DrafterComparison
) -> tuple[DrafterCheck, ...]:
    """A check for each drafter and temperature above 0, where text is certain and P the only limit.

    Where each call set its own P, it is that of the largest tree of those texts.

    The target reads every text once, after the conversation that plain decoding led. prompts: those of the
    comparison, at least.
    """
    turns = {prompt.prompt_id: prompt.turns for prompt in prompts}
    checks: list[DrafterCheck] = []
    for temperature in comparison.settings.temperatures:
        for drafter in comparison.drafters:
            if temperature > 0.0 and drafter.name != NO_DRAFTER:
                texts = _texts(comparison, drafter.name, temperature)
                answers = {
                    (text.prompt_id, text.turn): target.text_of(text.token_ids)
                    for text in _texts(comparison, NO_DRAFTER, temperature)
                }
                conversations = [
                    conversation(
                        turns[text.prompt_id],
                        [answers[text.prompt_id, earlier] for earlier in range(1, text.turn)],
                    )
                    for text in texts
                ]
                check = _checked(target, texts, conversations, temperature, _largest(comparison, texts))
                checks.append(DrafterCheck(drafter.name, temperature, check))
    return tuple(checks)


def _largest(comparison: DrafterComparison, texts: Sequence[DraftedText]) -> int:
    node_budget = comparison.settings.node_budget
    return max(max(text.nodes) for text in texts) if node_budget == AUTO else node_budget


def _texts(comparison: DrafterComparison, drafter: str, temperature: float) -> list[DraftedText]:
    return [text for text in comparison.texts if (text.drafter, text.temperature) == (drafter, temperature)]


def _checked(
    target: CausalLM,
    texts: Sequence[DraftedText],
    conversations: Sequence[list[dict[str, str]]],
    temperature: float,
    node_budget: int,
) -> LimitCheck:
    sampling = SamplingSettings(temperature)
    scored = [
        scored_text(target, chat_token_ids(target, messages), text.token_ids, sampling, text.prompt_id)
        for text, messages in zip(texts, conversations, strict=True)
    ]
    return check_decode(scored, [len(text.tokens) for text in texts], node_budget)
