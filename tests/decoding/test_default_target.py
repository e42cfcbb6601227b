"""The embedded default target: greedy speculative text is plain greedy text, one prompt of every family."""

import pytest

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.divergence import first_divergence
from speclight.measure.decoded_run.decoding import decode_turns
from speclight.measure.prompts import FAMILIES, shipped_prompts
from speclight.measure.turns import first_turns
from speclight.models.sampling import SamplingSettings

TOKENS = 24


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_equals_plain_decodings(default_target, family):
    """A first difference is allowed only where plain decoding's own two best logits nearly tie."""
    settings = DecodeSettings(node_budget=8, max_tokens=TOKENS, sampling=SamplingSettings(temperature=0.0))
    turn = first_turns(shipped_prompts([family])[:1])
    (speculative,) = decode_turns(default_target, turn, "ngram", "target_sample", settings)
    (plain,) = decode_turns(default_target, turn, "none", "target_sample", settings)
    texts = speculative.generation.token_ids, plain.generation.token_ids
    divergence = first_divergence(default_target, plain.prompt_ids, *texts)
    assert divergence is None or divergence.is_near_tie
    assert len(plain.generation.calls) == len(plain.generation.token_ids)
