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
from speclight.engines.losslessness import CellLaw, LawTest, cell_laws, law_test, positions_by_step
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
TOKENS_A_TEXT = 128
EngineTexts = Sequence[tuple[tuple[int, ...], EngineText]]
"""Prompt token ids (empty where they are not known) and text, each."""


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """Whether an endpoint samples the laws it states, or those of a reference.

    whole: the test over all tokens. by_origin: the same by where tokens came from, where per-step data tell:
    accepted drafts, tokens after a draft. detectable_at_500_nats: shift of the mean surprisal that 500 tokens
    of this kind of text show with probability 0.99. largest_gap_nats: largest difference between the
    endpoint's log-probability of a sampled token and the reference's; None without one.
    """

    whole: LawTest
    by_origin: dict[str, LawTest]
    detectable_at_500_nats: float
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
    """Texts of an endpoint until they hold about `tokens` tokens, at most 128 each, after prompts in turn.

    Of a prompt with several turns, the first one is asked.

    Raises EngineError where the endpoint does not state the law that it samples at this temperature.
    """
    if tokens < 1 or not temperature > 0.0:
        raise InvalidInput(
            f"a test needs tokens >= 1 and a temperature above 0, got {tokens} and {temperature}"
        )
    asked = [rendered(client, AskedTurn(prompt, 0, 0), rendering) for prompt in prompts]
    if temperature != 1.0 and top and stated_law(client, asked[0], temperature).of is not Law.SAMPLED:
        raise EngineError(
            f"at temperature {temperature} this endpoint does not state the law that it samples; test it at "
            "1, "
            "give a reference, or start it so that it gives processed log-probabilities"
        )
    length = min(tokens, TOKENS_A_TEXT)
    requests = [
        CompletionRequest(asked[number % len(asked)], length, temperature, top, seed + number)
        for number in range(ceil(tokens / length))
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

    Raises InvalidInput without texts, or where neither states a law.
    """
    gap = None
    if reference is None:
        laws = [law for _, text in texts for law in cell_laws(text)]
    else:
        laws = reference_laws(reference, texts, SamplingSettings(temperature), progress)
        gap = _largest_gap(laws, texts)
    whole = law_test(laws)
    origins = [
        origin
        for _, text in texts
        for origin in (positions_by_step(text, len(text.tokens)) or [None] * len(text.tokens))
    ]
    by_origin = {
        name: law_test([law for law, origin in zip(laws, origins, strict=True) if origin == name])
        for name in dict.fromkeys(origins)
        if name is not None
    }
    at_500 = whole.detectable_nats * float(np.sqrt(whole.tokens / POWER_TOKENS))
    return EngineVerdict(whole, by_origin, at_500, gap)


def _largest_gap(laws: Sequence[CellLaw], texts: EngineTexts) -> float:
    stated = np.concatenate([text.log_probs for _, text in texts])
    here = np.array([-law.of_tokens.surprisal for law in laws if law.of_tokens is not None])
    return float(np.abs(stated - here).max())
