"""All turns of a prompt are measured, each after the target's own answers to the turns before it."""

import copy
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from speclight.errors import ContextOverflow, StorageError
from speclight.measure.oracle_decode import run_oracle_decode
from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.store import read_table
from speclight.measure.trace.record import read_trace
from speclight.measure.turns import AskedTurn
from speclight.seeds import derived_seed
from toys import laws_along, tiny_target

# Float64 on both sides.
VALUE_ATOL = 1e-10
CHAT = tuple(
    Prompt(f"chat-{number}", "chat", ("t2 t3", "t0", "t3 t3")[: 1 + number % 3]) for number in range(6)
)
SINGLE = tuple(Prompt(f"single-{number}", "single", ("t3 " * (1 + number),)) for number in range(4))
SETTINGS = ProfileSettings(samples=2, max_tokens=12, batch_size=3)


@pytest.fixture(scope="module")
def target():
    target = tiny_target(vocabulary_size=5, seed=1, end_of_text=frozenset({4}), window=128, layers=1)
    target.tokenizer = copy.deepcopy(target.tokenizer)
    target.tokenizer.chat_template = "{% for message in messages %}{{ message.content }} t1 {% endfor %}"
    return target


@pytest.fixture(scope="module")
def measured(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    return run_profile(target, (*CHAT, *SINGLE), SETTINGS, folder), folder


def test_every_turn_has_a_text_after_the_conversation_before_it(target, measured):
    profile, _ = measured
    texts = {(text.prompt_id, text.sample, text.turn): text for text in profile.texts}
    assert len(texts) == len(profile.texts) == 2 * sum(len(prompt.turns) for prompt in (*CHAT, *SINGLE))
    for prompt in CHAT:
        for sample in range(2):
            before: list[int] = []
            for turn, question in enumerate(prompt.turns, start=1):
                before += [*target.tokenizer.encode(question), 1]
                text = texts[prompt.prompt_id, sample, turn]
                assert list(text.prompt_token_ids) == before
                laws = laws_along(target, before, text.token_ids[:-1])
                for log_prob, token, law in zip(text.log_probs, text.token_ids, laws, strict=True):
                    assert abs(log_prob - np.log(law[token])) < VALUE_ATOL
                before += [*text.token_ids, 1]
    assert any(not text.ended for text in profile.texts if text.turn == 1)  # cut, and gone on with


def test_every_turn_has_a_seed_of_its_own():
    asked = [AskedTurn(CHAT[2], place, sample) for place in range(3) for sample in range(3)]
    assert [turn.seed(7) for turn in asked] == [derived_seed(7, turn.place, turn.sample) for turn in asked]
    later = [turn.after("t2") for turn in asked]
    seeds = [turn.seed(7) for turn in (*asked, *later, *(turn.after("t3") for turn in later))]
    assert len(set(seeds)) == 27


def test_first_turns_and_single_prompts_are_what_they_are_alone(target, measured, tmp_path):
    profile, folder = measured
    first = tuple(replace(prompt, turns=prompt.turns[:1]) for prompt in CHAT)
    alone = run_profile(target, (*first, *SINGLE), SETTINGS, tmp_path)
    own = [text for text in profile.texts if text.turn == 1]
    for text, other in zip(own, alone.texts, strict=True):
        assert text.token_ids == other.token_ids
        np.testing.assert_array_equal(text.log_probs, other.log_probs)
    names = {path.name for path in tmp_path.glob("batch-*")}
    assert names == {path.name for path in folder.glob("batch-*")}
    for path in tmp_path.glob("batch-*.parquet"):
        table = read_table(tmp_path, path.stem)
        assert "turn" not in table.column_names
        if "family" in table.column_names:
            both = [
                read.filter(pc.field("family") == "single").replace_schema_metadata(None)
                for read in (table, read_table(folder, path.stem))
            ]
            assert both[1].select(table.column_names).equals(both[0])


def test_a_folder_of_first_turns_alone_is_not_gone_on_with(target, measured, tmp_path, monkeypatch):
    monkeypatch.setattr("speclight.measure.profile_run.turns_plan", lambda prompts: {})
    run_profile(target, CHAT, SETTINGS, tmp_path)
    monkeypatch.undo()
    with pytest.raises(StorageError, match=r'turns: nothing there, "all turns" asked for'):
        run_profile(target, CHAT, SETTINGS, tmp_path)


@pytest.mark.slow
def test_oracles_search_along_later_turns_too(target, measured, tmp_path):
    profile, _ = measured
    found = run_oracle(target, profile, OracleSettings(40, 3), tmp_path / "oracle")
    assert {row.turn for row in found.of_family("chat")} == {1, 2, 3}
    assert {row.turn for row in found.of_family("single")} == {1}
    again = read_trace(tmp_path / "oracle")
    assert [start.turn for start in again.starts] == [start.turn for start in found.starts]
    calls = run_oracle_decode(target, profile, 4, [2], 8, tmp_path / "decode")
    decoded = {(call.prompt_id, call.turn) for call in calls}
    prompts = {name for name, _ in decoded}
    assert len(prompts) == 4
    for prompt in (*CHAT, *SINGLE):
        if prompt.prompt_id in prompts:
            assert {turn for name, turn in decoded if name == prompt.prompt_id} == set(
                range(1, 1 + len(prompt.turns))
            )


def test_conversations_that_can_outgrow_the_window_are_told_before_sampling(target, tmp_path):
    with pytest.raises(ContextOverflow, match=r"3 turns of prompt 'chat-2'.*up to 50 each"):
        run_profile(target, CHAT, replace(SETTINGS, max_tokens=50), tmp_path / "long")
    assert not (tmp_path / "long").exists()
