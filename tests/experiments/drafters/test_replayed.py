"""Replayed drafters: what a call would have emitted, against the answers themselves."""

import pytest

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.errors import InvalidInput, StorageError
from speclight.experiments.drafters.replayed import ReplaySettings, replay_drafters
from speclight.measure.prompts import Prompt
from speclight.training.shards import read_shard
from toy_texts import chatting
from toys import as_target, tiny_llama

PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (f"t{number} t5",))
    for family in ("maths", "qa")
    for number in (0, 6)
)
SETTINGS = ReplaySettings(prompts_per_family=2, max_tokens=12, node_budgets=(1, 4), temperatures=(0.0, 1.0))
NGRAM = ComparedDrafter("ngram")


@pytest.fixture(scope="module")
def target():
    return chatting(as_target(tiny_llama(8, window=64), frozenset({7})))


def test_every_cell_counts_the_tokens_of_the_answers(target, tmp_path):
    cells = replay_drafters(target, PROMPTS, [NGRAM], SETTINGS, tmp_path)
    keys = {(cell.temperature, cell.family, cell.node_budget) for cell in cells}
    assert len(cells) == len(keys) == 2 * 2 * 2
    for cell in cells:
        texts = read_shard(tmp_path / f"answers-{cell.temperature:g}-{cell.family}.safetensors")
        answered = sum(len(text.tokens) - text.answer_from for text in texts)
        emitted = cell.calls * cell.tokens_per_call
        # The last call of a text may be cut off, and then its tokens, at most P of them, are in no call.
        assert answered - len(texts) * cell.node_budget <= round(emitted) <= answered
        if cell.node_budget == 1:
            assert (cell.tokens_per_call, cell.standard_error, cell.calls) == (1.0, 0.0, answered)


def test_answers_are_given_once_and_belong_to_their_plan(target, tmp_path, monkeypatch):
    first = replay_drafters(target, PROMPTS, [NGRAM], SETTINGS, tmp_path)
    monkeypatch.setattr("speclight.experiments.drafters.replayed.scored_answers", None)
    assert replay_drafters(target, PROMPTS, [NGRAM], SETTINGS, tmp_path) == first
    with pytest.raises(StorageError, match="another plan"):
        replay_drafters(target, PROMPTS[:1], [NGRAM], SETTINGS, tmp_path)


def test_a_budget_below_one_is_refused():
    with pytest.raises(InvalidInput, match="at least 1"):
        ReplaySettings(node_budgets=(0,))
