"""Drafters compared on a target whose layers are streamed in at every call, with fixed and set budgets."""

import pytest

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.experiments.drafters.limit_checks import check_drafters
from speclight.experiments.drafters.run import run_drafter_comparison
from speclight.experiments.drafters.settings import DrafterComparisonSettings
from speclight.experiments.drafters.summary import summarise_drafters
from speclight.measure.prompts import Prompt
from speclight.models.load import load
from speclight.report.drafters import markdown
from toys import tiny_llama, word_tokenizer

PROMPTS = (Prompt("qa-0", "qa", ("t0 t1",)), Prompt("qa-1", "qa", ("t2",)))
DRAFTERS = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1))


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streamed")
    tiny_llama(vocabulary_size=5, layers=2).save_pretrained(folder)
    word_tokenizer(5).save_pretrained(folder)
    return load(folder, offload="disk")


@pytest.mark.slow
@pytest.mark.parametrize("node_budget", [4, "auto"])
def test_drafters_are_compared(target, tmp_path, node_budget):
    settings = DrafterComparisonSettings(2, 12, node_budget, temperatures=(0.0, 1.0))
    found = run_drafter_comparison(target, PROMPTS, DRAFTERS, settings, tmp_path)
    assert {len(text.token_ids) for text in found.texts} == {12}
    largest = {
        text.drafter: max(text.nodes) for text in found.texts if text.temperature == 1.0 and node_budget == 4
    }
    assert all(nodes <= 4 for nodes in largest.values())
    greedy = {(text.prompt_id, text.token_ids) for text in found.texts if text.temperature == 0.0}
    assert len(greedy) == len(PROMPTS)  # all drafters and plain decoding emit one text
    assert not any(item.check.exceeds for item in check_drafters(target, PROMPTS, found))
    assert f"P = {node_budget}" in markdown(found, summarise_drafters(found))
