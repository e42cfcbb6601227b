"""Drafters against each other: what is recorded, what is made of it, resuming, tables."""

from dataclasses import replace

import pytest

from speclight.decoding.generate import generate_from_ids
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import LayerSkip, NGram
from speclight.drafting.drafters import new_drafter
from speclight.errors import InvalidInput, StorageError
from speclight.experiments.drafters.limit_checks import check_drafters
from speclight.experiments.drafters.run import DrafterComparisonSettings, run_drafter_comparison
from speclight.experiments.drafters.summary import summarise_drafters
from speclight.measure.decoded_run.decoding import decode_turns
from speclight.measure.looping import looping_tokens
from speclight.measure.prompts import Prompt
from speclight.measure.store import write_recorded
from speclight.measure.turns import AskedTurn, first_turns
from speclight.models.sampling import SamplingSettings
from speclight.report.drafters import draw, markdown
from speclight.verification.rules import RULES
from toys import tiny_target

VOCABULARY = 6
PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (" ".join(f"t{(number + step) % VOCABULARY}" for step in range(4)),))
    for family in ("code", "qa")
    for number in range(3)
)
SETTINGS = DrafterComparisonSettings(prompts_per_family=2, max_tokens=8, node_budget=4)
COMPARED = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1), ComparedDrafter("oracle"))


@pytest.fixture(scope="module")
def target():
    return tiny_target(VOCABULARY, seed=2)


@pytest.fixture(scope="module")
def comparison(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drafters")
    return folder, run_drafter_comparison(target, PROMPTS, COMPARED, SETTINGS, folder)


def rows_of(comparison):
    return {(row.drafter, row.temperature): row for row in summarise_drafters(comparison)}


def test_every_prompt_is_decoded_with_every_drafter_and_plainly(comparison):
    texts = comparison[1].texts
    names = ["none", "ngram", "layer_skip", "oracle"]
    found = [(text.drafter, text.temperature, text.prompt_id) for text in texts]
    prompts = ["code-0", "code-1", "qa-0", "qa-1"]
    assert found == [(name, t, prompt) for name in names for t in (0.0, 1.0) for prompt in prompts]
    for text in texts:
        assert sum(text.tokens) == len(text.token_ids) == 8
        assert all(1 <= tokens <= nodes <= 4 for tokens, nodes in zip(text.tokens, text.nodes, strict=True))
        columns = (text.draft_seconds, text.target_seconds, text.verify_seconds, text.commit_seconds)
        assert all(len(column) == len(text.tokens) and min(column) >= 0.0 for column in columns)


def test_a_record_holds_what_decoding_that_prompt_gives(comparison, target):
    text = next(
        text for text in comparison[1].texts if (text.drafter, text.temperature) == ("layer_skip", 1.0)
    )
    drafter = new_drafter(LayerSkip(1), target)
    (again,) = decode_turns(
        target, first_turns(PROMPTS[:1]), drafter, "target_sample", SETTINGS.decoding(1.0)
    )
    assert text.token_ids == again.generation.token_ids
    assert text.drafter_calls == tuple(call.draft_cost.calls for call in again.generation.calls)


def test_greedy_texts_are_plain_ones_and_the_oracle_wastes_no_call(comparison):
    greedy = [text for text in comparison[1].texts if text.temperature == 0.0]
    for prompt in {text.prompt_id for text in greedy}:
        assert len({text.token_ids for text in greedy if text.prompt_id == prompt}) == 1
    rows = rows_of(comparison[1])
    assert rows["oracle", 0.0].tokens_per_call.value == 4.0  # a chain of its own greedy tokens
    assert rows["none", 0.0].tokens_per_call.value == rows["none", 1.0].tokens_per_call.value == 1.0
    assert (rows["oracle", 0.0].near_tie_divergences, rows["oracle", 0.0].other_divergences) == (0, 0)
    assert rows["oracle", 1.0].other_divergences is None
    assert rows["oracle", 1.0].tokens_per_call.value > rows["ngram", 1.0].tokens_per_call.value > 1.0


@pytest.mark.slow
def test_a_wrong_greedy_text_is_counted_as_no_near_tie(target, tmp_path):
    """Positive control: the plain texts are those of another model."""
    run_drafter_comparison(target, PROMPTS, (), SETTINGS, tmp_path)
    other = run_drafter_comparison(tiny_target(VOCABULARY, seed=3), PROMPTS, (), SETTINGS, tmp_path / "other")
    assert [text.token_ids for text in other.texts if text.temperature == 0.0]
    for file in (tmp_path / "other" / "none").glob("*.parquet"):
        write_recorded(tmp_path / "none", file.name, file.read_bytes())
    mixed = run_drafter_comparison(target, PROMPTS, COMPARED[:1], SETTINGS, tmp_path)
    assert rows_of(mixed)["ngram", 0.0].other_divergences > 0


def test_a_near_tie_is_judged_by_the_rounding_noted_with_it(comparison):
    text = next(text for text in comparison[1].texts if (text.drafter, text.temperature) == ("ngram", 0.0))
    far = replace(text, margin=0.5, rounding=0.01)
    in_16_bits = replace(far, rounding=1.0)
    older = replace(far, margin=0.005, rounding=None)
    rows = rows_of(replace(comparison[1], texts=(*comparison[1].texts, far, in_16_bits, older)))
    row = rows["ngram", 0.0]
    assert (row.near_tie_divergences, row.other_divergences) == (2, 1)


def test_shares_and_speeds_are_of_all_calls_but_the_first_of_each_text(comparison):
    slow = tuple(
        replace(
            text,
            draft_seconds=(100.0, *(0.3 for _ in text.tokens[1:])),
            target_seconds=(100.0, *(0.6 for _ in text.tokens[1:])),
            verify_seconds=(100.0, *(0.06 for _ in text.tokens[1:])),
            commit_seconds=(100.0, *(0.04 for _ in text.tokens[1:])),
        )
        for text in comparison[1].texts
    )
    rows = rows_of(replace(comparison[1], texts=slow))
    for row in rows.values():
        assert row.draft_share == pytest.approx(0.3)
        assert row.loop_share == pytest.approx(0.1)
        assert row.milliseconds_per_call == pytest.approx(1000.0)
    assert rows["none", 0.0].speed_up == 1.0
    assert rows["oracle", 0.0].speed_up == pytest.approx(4.0)  # equal calls, four times the tokens


def test_one_call_a_text_leaves_no_time_to_speak_of(target, tmp_path):
    short = replace(SETTINGS, max_tokens=1)
    rows = rows_of(run_drafter_comparison(target, PROMPTS, COMPARED[:1], short, tmp_path))
    row = rows["ngram", 0.0]
    assert (row.draft_share, row.tokens_per_second, row.speed_up) == (None, None, None)


def test_looping_share_is_that_of_the_texts(comparison):
    texts = [t for t in comparison[1].texts if (t.drafter, t.temperature) == ("ngram", 0.0)]
    share = sum(looping_tokens(text.token_ids) for text in texts) / 32
    assert rows_of(comparison[1])["ngram", 0.0].looping_share == pytest.approx(share)


def test_a_finished_comparison_is_read_and_drafters_can_be_added(comparison, target, monkeypatch):
    folder, first = comparison
    more = run_drafter_comparison(
        target, PROMPTS, (*COMPARED, ComparedDrafter("lookahead")), SETTINGS, folder
    )
    assert more.texts[: len(first.texts)] == first.texts
    assert len(more.texts) > len(first.texts)
    monkeypatch.setattr(target, "forward", None)  # any pass would fail
    assert run_drafter_comparison(target, PROMPTS, COMPARED, SETTINGS, folder) == first
    with pytest.raises(StorageError, match="another plan"):
        run_drafter_comparison(target, PROMPTS, COMPARED, replace(SETTINGS, max_tokens=9), folder)


def test_a_drafter_given_as_an_object_serves_prompt_after_prompt(target):
    settings = SETTINGS.decoding(1.0)
    drafter = new_drafter(NGram(), target)
    decoded = decode_turns(target, first_turns(PROMPTS[:3]), drafter, "target_sample", settings)
    for number, text in enumerate(decoded):
        fresh = new_drafter(NGram(), target, sampling=SamplingSettings(1.0))
        own = replace(settings, seed=number)
        alone = generate_from_ids(target, text.prompt_ids, fresh, RULES["target_sample"], own)
        assert text.generation.token_ids == alone.token_ids


def test_tables_and_figure_hold_every_drafter(comparison, tmp_path):
    rows = summarise_drafters(comparison[1])
    text = markdown(comparison[1], rows)
    for name in ("none", "ngram", "layer_skip, 1 layers", "oracle (analysis only)"):
        assert text.count(f"| {name} |") == 2 + 2  # two temperatures, by family too
    assert "P = 4, best-first trees, 4 prompts of 2 families, at most 8 tokens" in text
    assert "| drafter | temperature | code | qa |" in text
    assert draw(comparison[1], rows, tmp_path / "d.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperatures": ()}, "at least one"),
        ({"temperatures": (1.0, 1.0)}, "once"),
    ],
)
def test_settings_out_of_range_are_refused(options, named):
    with pytest.raises(InvalidInput, match=named):
        DrafterComparisonSettings(**options)


def test_every_drafter_is_checked_against_the_limit_of_its_texts(comparison, target):
    """Drafts of ours stay below; a run that claims one call a text of eight tokens, at P = 4, does not."""
    checks = check_drafters(target, PROMPTS, comparison[1])
    assert [(item.drafter, item.temperature) for item in checks] == [
        (drafter.name, 1.0) for drafter in COMPARED
    ]
    assert not any(item.check.exceeds for item in checks)
    text = markdown(comparison[1], summarise_drafters(comparison[1]), checks)
    assert "| oracle | 1 | " in text
    assert "a bug in decode or bound" not in text
    merged = tuple(replace(text, tokens=(sum(text.tokens),)) for text in comparison[1].texts)
    planted = check_drafters(target, PROMPTS, replace(comparison[1], texts=merged))
    assert all(item.check.share > 1.5 for item in planted)


@pytest.mark.slow
def test_all_drafters_answer_a_later_turn_after_plain_decodings_answers(target, tmp_path):
    chat = (Prompt("chat-0", "chat", ("t2 t3", "t4")), PROMPTS[0])
    settings = replace(SETTINGS, prompts_per_family=1, temperatures=(1.0,))
    found = run_drafter_comparison(target, chat, COMPARED, settings, tmp_path)
    of_plain = [text for text in found.texts if text.drafter == "none"]
    assert [(text.prompt_id, text.turn) for text in of_plain] == [
        ("chat-0", 1),
        ("chat-0", 2),
        (PROMPTS[0].prompt_id, 1),
    ]
    asked = AskedTurn(chat[0], 0, 0, (target.text_of(of_plain[0].token_ids),))
    for text in found.texts:
        if text.turn == 2:
            (drafter,) = (each for each in (ComparedDrafter("none"), *COMPARED) if each.name == text.drafter)
            made = new_drafter(drafter.choice, target, sampling=SamplingSettings(1.0))
            own = replace(settings.decoding(1.0), node_budget=1 if drafter.name == "none" else 4)
            (again,) = decode_turns(target, [asked], made, "target_sample", own)
            assert text.token_ids == again.generation.token_ids
    assert run_drafter_comparison(target, chat, COMPARED, settings, tmp_path) == found
    assert not any(item.check.exceeds for item in check_drafters(target, chat, found))
