"""What is read behind a kept prompt is what is read without: laws, states, and to the bit what is kept."""

import numpy as np
import pytest
import torch

from speclight.errors import ContextOverflow, InvalidInput
from speclight.models.forest import Forest, ForestNode
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree
from toys import law_after, tiny_target

LAW = SamplingSettings()
ATOL = 1e-12  # float64; a prompt by itself and with what follows it differ by the order of sums
PROMPT, REST = [0, 1, 2, 3, 1], [4, 0, 2]


@pytest.fixture(scope="module")
def target():
    return tiny_target(vocabulary_size=5, seed=3)


@pytest.mark.parametrize("prompt", [PROMPT, PROMPT[:1]], ids=["long", "one token"])
@pytest.mark.parametrize("layers", [(), (1,), (2, 0)], ids=str)
def test_trees_behind_a_begun_prompt_have_their_laws_and_states(target, prompt, layers):
    text, readings = [*prompt, *REST], Readings(target)
    roots = [len(prompt) - 1, len(text) - 1]
    for _ in range(2):  # read, and kept
        forest = Forest(target, text, roots, LAW, layers, readings.begun(prompt, layers))
        for root, law in zip(roots, forest.root_laws, strict=True):
            np.testing.assert_allclose(law, law_after(target, text[: root + 1]), rtol=0, atol=ATOL)
        _, laws = forest.score([ForestNode(0, 2, None), ForestNode(1, 3, None)])
        for root, token, law in zip(roots, (2, 3), laws, strict=True):
            expected = law_after(target, [*text[: root + 1], token])
            np.testing.assert_allclose(law, expected, rtol=0, atol=ATOL)
        states = forest.features(layers)
        if not layers:
            assert states is None
            continue
        alone = target.prefill(target.new_cache(), text, layers)
        torch.testing.assert_close(states, alone, rtol=0, atol=ATOL)


@pytest.mark.parametrize("layers", [(), (1, 0)], ids=str)
def test_decoding_goes_on_behind_a_begun_prompt(target, layers):
    readings, tree = Readings(target, (0, 1)), DraftTree(np.array([1, 4]), np.array([-1, 0]), np.zeros(2))
    plain = ScoredText(target, PROMPT, layers)
    begun = ScoredText(target, PROMPT, layers, readings.begun(PROMPT, layers))
    torch.testing.assert_close(begun.score(tree), plain.score(tree), rtol=0, atol=ATOL)
    for text in (plain, begun):
        text.commit(np.array([0, 1]), [4, 2])
    assert begun.token_ids == [*PROMPT, 4, 2]
    if layers:
        torch.testing.assert_close(begun.features, plain.features, rtol=0, atol=ATOL)


def test_who_goes_on_does_not_touch_what_is_kept(target):
    readings = Readings(target)
    first = readings.begun(PROMPT)
    before = [(keys.clone(), values.clone()) for keys, values in first.cache.filled_slots()]
    target.read(first.cache, [4, 4], 1)
    for kept, (keys, values) in zip(readings.begun(PROMPT).cache.filled_slots(), before, strict=True):
        assert torch.equal(kept[0], keys)
        assert torch.equal(kept[1], values)


def test_a_prompt_is_read_once_and_again_only_for_other_layers_or_room(monkeypatch):
    target, read = tiny_target(vocabulary_size=5, seed=3), []
    prefill = target.prefill
    monkeypatch.setattr(target, "prefill", lambda *given: read.append(given[1]) or prefill(*given))
    readings = Readings(target)
    kept = readings.begun(PROMPT)
    again = readings.begun(PROMPT)
    assert read == [PROMPT[:-1]]
    readings.begun(PROMPT, (1,))
    readings.begun(PROMPT, (1,))
    readings.begun(PROMPT)
    assert len(read) == 2
    small = Readings(target, most_bytes=2 * kept.cache.bytes_held())
    for prompt in (PROMPT, PROMPT[1:], PROMPT, PROMPT[::-1], PROMPT):
        again = small.begun(prompt)
        assert small.bytes_held() <= 2 * kept.cache.bytes_held()
    assert read[2:] == [PROMPT[:-1], PROMPT[1:-1], PROMPT[::-1][:-1]]
    for (keys, values), (same_keys, same_values) in zip(
        kept.cache.filled_slots(), again.cache.filled_slots(), strict=True
    ):
        assert torch.equal(keys, same_keys)
        assert torch.equal(values, same_values)


def test_the_last_prompt_is_kept_whatever_its_size(target):
    readings = Readings(target, most_bytes=0)
    readings.begun(PROMPT)
    assert readings.bytes_held() > 0


def test_what_does_not_fit_is_told(target):
    readings = Readings(target)
    with pytest.raises(InvalidInput, match="no tokens"):
        readings.begun([])
    with pytest.raises(ContextOverflow):
        readings.begun([0] * target.context_window)
    with pytest.raises(InvalidInput, match="beginning of that text"):
        Forest(target, [1, *PROMPT], [5], LAW, begun=readings.begun(PROMPT))
    with pytest.raises(InvalidInput, match="same layers"):
        ScoredText(target, PROMPT, (1,), readings.begun(PROMPT))
    with pytest.raises(InvalidInput, match="read before"):
        Forest(target, PROMPT, [1], LAW, begun=readings.begun(PROMPT))
