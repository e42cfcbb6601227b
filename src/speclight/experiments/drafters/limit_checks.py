"""Every drafter of a comparison beside the decode bound of its own texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speclight.drafting.drafters import NO_DRAFTER
from speclight.experiments.drafters.run import DraftedText, DrafterComparison
from speclight.measure.prompts import Prompt
from speclight.measure.run_checks import LimitCheck, check_decode, scored_text
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
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

    The target reads every text once. prompts: those of the comparison, at least.
    """
    turns = {prompt.prompt_id: prompt.turns[0] for prompt in prompts}
    checks: list[DrafterCheck] = []
    for temperature in comparison.settings.temperatures:
        for drafter in comparison.drafters:
            texts = [
                text
                for text in comparison.texts
                if (text.drafter, text.temperature) == (drafter.name, temperature)
            ]
            if temperature > 0.0 and drafter.name != NO_DRAFTER:
                check = _checked(target, texts, turns, temperature, comparison.settings.node_budget)
                checks.append(DrafterCheck(drafter.name, temperature, check))
    return tuple(checks)


def _checked(
    target: CausalLM,
    texts: Sequence[DraftedText],
    turns: dict[str, str],
    temperature: float,
    node_budget: int,
) -> LimitCheck:
    sampling = SamplingSettings(temperature)
    scored = [
        scored_text(
            target,
            chat_token_ids(target, [{"role": "user", "content": turns[text.prompt_id]}]),
            text.token_ids,
            sampling,
            text.prompt_id,
        )
        for text in texts
    ]
    return check_decode(scored, [len(text.tokens) for text in texts], node_budget)
