"""Prompts decoded for comparisons are decoded as the settings say, all of them."""

from dataclasses import fields, replace

from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.drafter_choices import LayerSkip
from speclight.drafting.drafters import new_drafter
from speclight.drafting.tree_choices import Chain
from speclight.measure.decoded_run import decoding
from speclight.measure.prompts import Prompt
from speclight.measure.turns import first_turns
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES
from toys import tiny_target

PROMPTS = [Prompt(f"qa-{number}", "qa", (f"t{number} t2",)) for number in range(2)]
# No field as it is by default.
SETTINGS = DecodeSettings(
    node_budget=5,
    max_tokens=20,
    seed=7,
    sampling=SamplingSettings(0.8, top_k=5),
    draft_ahead=True,
    record_target_log_probs=True,
    record_expected_tokens=True,
    record_ranks=True,
    repetition_penalty=1.3,
    processors=(lambda ids, logits: logits,),
    stop_token_ids=frozenset({4}),
    stop_strings=("t5 t1",),
    stop_criteria=(lambda ids: len(ids) > 16,),
)


def test_every_setting_but_the_seed_is_that_of_all_prompts(monkeypatch):
    default = DecodeSettings()
    assert all(getattr(SETTINGS, field.name) != getattr(default, field.name) for field in fields(SETTINGS))
    used = []

    def noting(model, ids, drafter, rule, settings, text):
        used.append(settings)
        return generate_from_ids(model, ids, drafter, rule, settings, text=text)

    monkeypatch.setattr(decoding, "generate_from_ids", noting)
    target = tiny_target(6, seed=2)
    drafter = new_drafter(LayerSkip(1), target, Chain(kind="race"))
    decoded = decoding.decode_turns(target, first_turns(PROMPTS), drafter, "race", SETTINGS)
    assert used == [replace(SETTINGS, seed=7), replace(SETTINGS, seed=8)]
    for item, settings in zip(decoded, used, strict=True):
        again = generate_from_ids(target, item.prompt_ids, drafter, RULES["race"], settings)
        assert item.generation.token_ids == again.token_ids
        assert all(call.ranks is not None for call in item.generation.calls)
