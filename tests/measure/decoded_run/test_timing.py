"""Plain and drafted decoding take turns with the same seeds, and times come from the clock given."""

from dataclasses import replace

from speclight.decoding.settings import DecodeSettings
from speclight.measure.decoded_run import decoding
from speclight.measure.decoded_run.decoding import OWN_LOOP, PLAIN_DECODERS, TRANSFORMERS
from speclight.measure.decoded_run.timing import WARM_UP_TOKENS, time_in_turn, transformers_run
from speclight.measure.paired_times import speed_up
from speclight.measure.prompts import Prompt
from speclight.measure.turns import first_turns
from speclight.models.prompting import chat_token_ids
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from toys import tiny_target

PROMPTS = [Prompt(f"qa-{number}", "qa", (f"t{number} t2",)) for number in range(3)]
SETTINGS = DecodeSettings(node_budget=4, max_tokens=12, seed=7, sampling=SamplingSettings(1.0))


def test_drafted_and_plain_take_turns_with_the_same_seeds(monkeypatch):
    made: list[tuple[int, int]] = []
    true_one = decoding.generate_from_ids

    def planted(model, ids, drafter, rule, settings, text):
        """A token takes 1 s plainly and half a second drafted, whatever the machine does."""
        found = true_one(model, ids, drafter, rule, settings, text=text)
        if settings.max_tokens > WARM_UP_TOKENS:
            made.append((settings.node_budget, settings.seed))
        pace = 1.0 if settings.node_budget == 1 else 0.5
        return replace(found, seconds=pace * len(found.token_ids))

    monkeypatch.setattr(decoding, "generate_from_ids", planted)
    target = tiny_target(6, seed=2, layers=1)
    found = time_in_turn(target, PROMPTS, ("ngram",), "target_sample", SETTINGS, rounds=2)
    assert made == [
        *[(1, 7), (4, 7), (4, 7), (1, 7)],
        *[(4, 8), (1, 8), (1, 8), (4, 8)],
        *[(1, 9), (4, 9), (4, 9), (1, 9)],
    ]
    assert [item.prompt for item in found.decoded["ngram"]] == PROMPTS
    drafted = speed_up(found.timed, "ngram", (OWN_LOOP,))
    assert (drafted.estimate.value, drafted.verdict) == (2.0, "faster")
    assert set(found.timed[0].rounds[0]) == {*PLAIN_DECODERS, "ngram"}


def test_transformers_generate_is_timed_after_its_first_token():
    ticks = iter(range(0, 1000, 3))
    plain = replace(SETTINGS, node_budget=1)
    run = transformers_run(
        tiny_target(6, seed=2, layers=1), first_turns(PROMPTS)[0], plain, clock=lambda: float(next(ticks))
    )
    assert (run.tokens, run.seconds) == (11, 33.0)
    assert TRANSFORMERS in PLAIN_DECODERS


def test_transformers_goes_on_behind_a_prompt_that_was_read(monkeypatch):
    target, made, passes = tiny_target(6, seed=2, layers=1), [], []
    generate, forward = target.model.generate, target.model.forward
    monkeypatch.setattr(target.model, "generate", lambda *a, **b: made.append(generate(*a, **b)))
    monkeypatch.setattr(
        target.model, "forward", lambda **b: passes.append(b["input_ids"].shape[1]) or forward(**b)
    )
    asked = first_turns(PROMPTS)[0]
    greedy = replace(SETTINGS, node_budget=1, sampling=SamplingSettings(0.0))
    transformers_run(target, asked, greedy)
    prompt = len(chat_token_ids(target, asked.messages))
    assert (made[0].shape[1], passes) == (prompt + 12, [prompt, *[1] * 11])
    readings = Readings(target)
    readings.begun(chat_token_ids(target, asked.messages))
    del passes[:]
    transformers_run(target, asked, greedy, readings)
    assert passes == [1] * 12
    assert made[1].tolist() == made[0].tolist()


def test_every_decoder_answers_later_turns_after_the_same_conversation():
    chat = [Prompt("chat-0", "chat", ("t2 t3", "t4", "t0 t2")), *PROMPTS[:1]]
    target = tiny_target(6, seed=2, layers=1)
    found = time_in_turn(target, chat, ("ngram",), "target_sample", SETTINGS, rounds=1)
    assert [item.prompt_id for item in found.timed] == ["chat-0", "chat-0", "chat-0", "qa-0"]
    plain, drafted = found.decoded[OWN_LOOP], found.decoded["ngram"]
    assert [item.asked.turn for item in drafted] == [1, 2, 3, 1]
    assert [item.prompt_ids for item in drafted] == [item.prompt_ids for item in plain]
    messages: list[dict[str, str]] = []
    for question, answer in zip(chat[0].turns, plain[:3], strict=True):
        messages.append({"role": "user", "content": question})
        assert answer.prompt_ids == chat_token_ids(target, messages)
        messages.append({"role": "assistant", "content": answer.generation.text})
    assert drafted[3].asked.decoding_seed(7) == 8
