"""From a toy target to tables and figure: recording, resuming, comparing."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.experiments.race_records import RaceRecordSettings, read_laws, record_laws
from speclight.experiments.race_tables import draw, markdown
from speclight.experiments.race_vs_rejection import DRAFTED, compare
from speclight.measure.prompts import Prompt
from toys import law_after, tiny_target

VOCABULARY = 7
SETTINGS = RaceRecordSettings(texts=2, tokens=14, temperatures=(1.0,))
PROMPTS = tuple(Prompt(f"p{number}", "toy", (f"t{number}",)) for number in range(3))
# Recorded logits are float32.
FLOAT32_ATOL = 1e-5
# Above their limit rules may be by the tolerances of the quantities compared (1e-3 for rank laws).
LIMIT_ATOL = 2e-3


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    target = tiny_target(VOCABULARY, seed=2)
    target.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    folder = tmp_path_factory.mktemp("race")
    record_laws(target, PROMPTS, SETTINGS, folder / "laws")
    return target, folder


@pytest.fixture(scope="module")
def comparison(records):
    return compare(records[1] / "laws", records[1] / "ranks", VOCABULARY)


def test_recorded_laws_are_the_targets_at_every_token(records):
    target, folder = records
    texts = list(read_laws(folder / "laws"))
    assert [len(text.token_ids) for text in texts] == [14, 14]
    text = texts[1]
    before = list(text.prompt_token_ids)
    for place, token in enumerate(text.token_ids):
        law = np.exp(text.target_logits[place].astype(float))
        np.testing.assert_allclose(law / law.sum(), law_after(target, before), rtol=0, atol=FLOAT32_ATOL)
        before.append(token)


def test_a_finished_record_is_not_made_again(records, monkeypatch):
    target, folder = records
    monkeypatch.setattr(target, "forward", None)  # any pass would fail
    record_laws(target, PROMPTS, SETTINGS, folder / "laws")


def test_texts_that_cannot_be_had_are_refused(tmp_path):
    target = tiny_target(VOCABULARY, seed=2)
    target.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(InvalidInput, match="only 1 of 1 prompts"):
        record_laws(target, PROMPTS[:1], SETTINGS, tmp_path / "laws")


def value(comparison, drafter, rule, strategy, drafted):
    return comparison.row(drafter, 1.0, rule, strategy, drafted).tokens_per_call.value


@pytest.mark.parametrize("drafter", ["layer_skip", "ngram"])
def test_the_rules_keep_to_their_order(comparison, drafter):
    """What holds text by text, so for every mean."""
    for k in DRAFTED:
        of = {
            (rule, strategy): value(comparison, drafter, rule, strategy, k)
            for rule, strategy in (
                ("rejection", "sequence"),
                ("block", "sequence"),
                ("race", "batch"),
                ("race_with_replacement", "batch"),
            )
        }
        assert of["block", "sequence"] >= of["rejection", "sequence"] - LIMIT_ATOL
        assert of["race", "batch"] >= of["race_with_replacement", "batch"] - LIMIT_ATOL
    assert value(comparison, drafter, "race", "batch", 8) == pytest.approx(
        2.0, abs=LIMIT_ATOL
    )  # all 7 tokens
    for rule in ("rejection", "race", "race_with_replacement", "rejection_without_replacement"):
        simple = {value(comparison, drafter, rule, strategy, 1) for strategy in ("sequence", "batch")}
        assert max(simple) - min(simple) < LIMIT_ATOL


def test_accounting_counts_every_context(comparison):
    for group in comparison.accounting:
        assert group.contexts == group.sampled.samples == 28
        assert group.conditional_entropy <= group.pooled_entropy + LIMIT_ATOL
        assert 0.0 < group.match < 1.0
        assert (np.diff(group.bound_pooled) > 0.0).all()


def test_tables_and_figure_hold_every_rule(comparison, tmp_path):
    text = markdown(comparison)
    for rule in (
        "block",
        "gls",
        "k_seq",
        "race_with_replacement",
        "transport, distinct",
        "bound, H[R] pooled",
    ):
        assert f"| {rule} |" in text
    assert draw(comparison, tmp_path / "race.svg").read_text(encoding="utf-8").startswith("<?xml")
    with pytest.raises(KeyError):
        comparison.row("ngram", 0.5, "race", "tree", 1)
