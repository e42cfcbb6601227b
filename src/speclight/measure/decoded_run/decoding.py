"""Decoding of real prompts by one decoder, and where a greedy text left plain decoding's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.divergence import first_divergence
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.drafting.protocol import Drafter
from speclight.measure.prompts import Prompt
from speclight.measure.turns import AskedTurn
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.models.readings import Readings
from speclight.models.scored_text import ScoredText
from speclight.verification.rules import rule_named

OWN_LOOP, TRANSFORMERS = "speclight, no drafter", "transformers generate"
PLAIN_DECODERS = (OWN_LOOP, TRANSFORMERS)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPrompt:
    """One turn of a prompt decoded by one decoder. prompt_ids: the conversation up to it."""

    asked: AskedTurn
    prompt_ids: list[int]
    generation: Generation

    @property
    def prompt(self) -> Prompt:
        """Whose turn it is."""
        return self.asked.prompt


@dataclass(frozen=True, slots=True)
class Divergences:
    """Texts whose greedy text left plain greedy decoding's: at a near tie, or anywhere else (a bug)."""

    near_tie: int
    other: int


def decode_turns(
    model: CausalLM,
    turns: Sequence[AskedTurn],
    drafter: str | Drafter,
    rule: str,
    settings: DecodeSettings,
    readings: Readings | None = None,
) -> list[DecodedPrompt]:
    """Decode the answer to each turn, with a seed of its own that follows from the settings' one.

    drafter: a name, for one with its default settings, or a drafter, which serves one turn after the other.
    readings: read the prompts, and may have read some before; that is no part of a generation's prefill.
    """
    readings = readings or Readings(model, most_bytes=0)
    verify_rule = rule_named(rule)
    drafter = drafter_for(model, drafter, verify_rule, settings.sampling)
    decoded: list[DecodedPrompt] = []
    for asked in turns:
        ids = chat_token_ids(model, asked.messages)
        own = replace(settings, seed=asked.decoding_seed(settings.seed))
        text = ScoredText(model, ids, drafter.hidden_layers, readings.begun(ids, drafter.hidden_layers))
        generation = generate_from_ids(model, ids, drafter, verify_rule, own, text=text)
        decoded.append(DecodedPrompt(asked, ids, generation))
    return decoded


def greedy_divergences(
    model: CausalLM, decoded: Sequence[DecodedPrompt], plain: Sequence[DecodedPrompt]
) -> Divergences:
    """Compare greedy texts prompt by prompt with plain decoding's; a first difference is classified."""
    found = [
        first_divergence(model, ours.prompt_ids, ours.generation.token_ids, theirs.generation.token_ids)
        for ours, theirs in zip(decoded, plain, strict=True)
    ]
    near_ties = [divergence.is_near_tie for divergence in found if divergence is not None]
    return Divergences(near_tie=sum(near_ties), other=len(near_ties) - sum(near_ties))
