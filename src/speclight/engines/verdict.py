"""The losslessness verdict on an endpoint: texts from it, the laws stated for them, one test and its
parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from speclight.engines.checks import Rendering
from speclight.engines.client import EngineClient
from speclight.engines.completion import CompletionRequest, EngineText
from speclight.engines.greedy import (
    OWN_MARGIN_NATS,
    REFERENCE_MARGIN_NATS,
    GreedyTest,
    greedy_test,
    reference_gaps,
    stated_gaps,
)
from speclight.engines.losslessness import CellLaw, LawTest, cell_laws, law_test, slots
from speclight.engines.profile_run import rendered
from speclight.engines.reference import reference_laws
from speclight.engines.stated_law import Law, stated_law
from speclight.errors import EngineError, InvalidInput
from speclight.measure.prompts import Prompt
from speclight.measure.turns import AskedTurn
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent

POWER_TOKENS = 500
# A place in verify steps is tested by itself from so many tokens on: below, sums are far from normal.
LEAST_TOKENS = 50
TOKENS_A_TEXT = 128
EngineTexts = Sequence[tuple[tuple[int, ...], EngineText]]
"""Prompt token ids (empty where they are not known) and text, each."""


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """Whether an endpoint samples the laws it states, or those of a reference.

    whole: the test over all tokens; of greedy text, whether each was a likeliest one. by_slot: the same by
    the place of tokens in their verify step, where per-step data tell and tokens are many; empty of greedy
    text. detectable_at_500_nats: shift of the mean surprisal that 500 tokens of this kind of text show with
    probability 0.99; None of greedy text. largest_gap_nats: largest difference between the endpoint's
    log-probability of a sampled token and the reference's; None without either.
    """

    whole: LawTest | GreedyTest
    by_slot: dict[str, LawTest]
    detectable_at_500_nats: float | None
    largest_gap_nats: float | None


def sample_from_server(
    client: EngineClient,
    prompts: Sequence[Prompt],
    tokens: int,
    top: int,
    temperature: float,
    seed: int = 0,
    rendering: Rendering | None = None,
    progress: Progress = silent,
) -> list[tuple[tuple[int, ...], EngineText]]:
    """As many texts of an endpoint as hold `tokens` tokens if none ends early, at most 128 each.

    Prompts are taken in turn; of one with several turns, the first is asked.

    top: likeliest tokens asked for; 0 where a reference will score the tokens: then the endpoint need not
    state log-probabilities. Raises EngineError where it does not state the law that it samples.
    """
    if tokens < 1:
        raise InvalidInput(f"a test needs tokens >= 1, got {tokens}")
    asked = [rendered(client, AskedTurn(prompt, 0, 0), rendering) for prompt in prompts]
    if (
        temperature not in (0.0, 1.0)
        and top
        and stated_law(client, asked[0], temperature).of is not Law.SAMPLED
    ):
        raise EngineError(
            f"at temperature {temperature} this endpoint does not state the law that it samples; test it at "
            "1, "
            "give a reference, or start it so that it gives processed log-probabilities"
        )
    length = min(tokens, TOKENS_A_TEXT)
    texts = ceil(tokens / length)
    if temperature == 0.0:  # a second text of a prompt would be the first one
        texts = min(texts, len(asked))
    requests = [
        CompletionRequest(
            asked[number % len(asked)], length, temperature, top or 1, seed + number, unstated_allowed=not top
        )
        for number in range(texts)
    ]
    found: dict[int, EngineText] = {}
    for place, text in client.complete_all(requests):
        found[place] = text
        progress(len(found), len(requests), f"texts of {client.model}")
    return [(request.token_ids or (), found[place]) for place, request in enumerate(requests)]


def engine_verdict(
    texts: EngineTexts,
    temperature: float = 1.0,
    reference: CausalLM | None = None,
    progress: Progress = silent,
) -> EngineVerdict:
    """Test the texts against the laws stated with them, or against a reference model's.

    temperature: of the texts; 0 tests whether each token is a likeliest one. Raises InvalidInput without
    texts, or where neither states a law.
    """
    if reference is None:
        if temperature == 0.0:
            gaps = np.concatenate([stated_gaps(text) for _, text in texts]) if texts else np.zeros(0)
            return EngineVerdict(greedy_test(gaps, OWN_MARGIN_NATS), {}, None, None)
        return _law_verdict([law for _, text in texts for law in cell_laws(text)], texts, None)
    laws = reference_laws(reference, texts, SamplingSettings(temperature or 1.0), progress)
    gap = _largest_gap(laws, texts)
    if temperature == 0.0:
        test = greedy_test(reference_gaps(laws), REFERENCE_MARGIN_NATS)
        return EngineVerdict(test, {}, None, gap)
    return _law_verdict(laws, texts, gap)


def _law_verdict(laws: list[CellLaw], texts: EngineTexts, gap: float | None) -> EngineVerdict:
    whole = law_test(laws)
    places = [place for _, text in texts for place in slots(text) or [None] * len(text.tokens)]
    by_slot = {
        name: law_test([law for law, place in zip(laws, places, strict=True) if place == name])
        for name in dict.fromkeys(places)
        if name is not None and places.count(name) >= LEAST_TOKENS
    }
    at_500 = whole.detectable_nats * float(np.sqrt(whole.tokens / POWER_TOKENS))
    return EngineVerdict(whole, by_slot, at_500, gap)


def _largest_gap(laws: Sequence[CellLaw], texts: EngineTexts) -> float | None:
    stated = np.concatenate([text.log_probs for _, text in texts])
    here = np.array([-law.of_tokens.surprisal for law in laws if law.of_tokens is not None])
    gaps = np.abs(stated - here)[~np.isnan(stated)]
    return float(gaps.max()) if len(gaps) else None
