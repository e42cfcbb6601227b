"""Tree-scored logits are the logits of each path scored alone, through any history of commits."""

import numpy as np
import pytest
import torch

from speclight.errors import BrokenModelOutput, ContextOverflow, InvalidInput
from speclight.models import visibility
from speclight.models.kv_cache import PathCache
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree, root_only
from toys import broken_mask, law_after, tiny_target

# Both sides are float64; attention over 20 slots in another order moves a probability by less than this.
LAW_ATOL = 1e-12


def random_tree(rng: np.random.Generator, root: int, nodes: int, vocabulary: int) -> DraftTree:
    tokens, parents, free = [root], [-1], [(0, token) for token in range(vocabulary)]
    while len(tokens) < nodes:
        parent, token = free.pop(int(rng.integers(len(free))))
        free.extend((len(tokens), child) for child in range(vocabulary))
        tokens.append(token)
        parents.append(parent)
    return DraftTree(np.array(tokens), np.array(parents), np.zeros(nodes))


def worst_error_over_a_history(seed: int) -> float:
    """Largest error of any law over eight calls with random trees and random accepted paths."""
    rng = np.random.default_rng(seed)
    target = tiny_target(vocabulary_size=5, seed=seed)
    text = ScoredText(target, rng.integers(0, 5, size=4).tolist())
    worst = 0.0
    for _ in range(8):
        tree = random_tree(rng, text.token_ids[-1], int(rng.integers(1, 9)), 5)
        laws = torch.softmax(text.score(tree), dim=1).numpy()
        for node in range(len(tree)):
            path = tree.path(node)
            expected = law_after(target, text.token_ids + tree.tokens[path[1:]].tolist())
            worst = max(worst, float(np.abs(laws[node] - expected).max()))
        path = tree.path(int(rng.integers(len(tree))))
        text.commit(path, [*tree.tokens[path[1:]].tolist(), int(rng.integers(5))])
    return worst


@pytest.mark.parametrize("seed", range(5))
def test_tree_scores_equal_path_scores_through_commits(seed):
    assert worst_error_over_a_history(seed) < LAW_ATOL


def test_a_text_of_one_token_goes_on_and_goes_back():
    """Nothing is read of it before its first call: there is no cache to keep or to rewind yet."""
    target = tiny_target(vocabulary_size=5)
    text = ScoredText(target, [3])
    assert text.continue_with([2]) == 0
    text.commit(np.array([], dtype=np.int64), [])
    laws = torch.softmax(text.score(root_only(2)), dim=1).numpy()
    np.testing.assert_allclose(laws[0], law_after(target, [2]), atol=LAW_ATOL)
    text.commit(np.array([0]), [4])
    assert text.continue_with([1]) == 0
    assert text.cache.filled == 0
    laws = torch.softmax(text.score(root_only(1)), dim=1).numpy()
    np.testing.assert_allclose(laws[0], law_after(target, [1]), atol=LAW_ATOL)


def test_a_broken_mask_is_noticed(monkeypatch):
    monkeypatch.setattr(visibility, "ancestor_mask", lambda tree: broken_mask(len(tree)))
    assert worst_error_over_a_history(0) > 1e-3


def test_a_broken_roll_back_is_noticed(monkeypatch):
    sound = PathCache.keep

    def keep_the_first_slots(cache, slots):
        sound(cache, list(range(cache.committed, cache.committed + len(slots))))

    monkeypatch.setattr(PathCache, "keep", keep_the_first_slots)
    assert worst_error_over_a_history(0) > 1e-3


def test_cache_memory_grows_with_committed_tokens_only():
    target = tiny_target(vocabulary_size=5)
    text = ScoredText(target, [0, 1, 2])
    rng = np.random.default_rng(0)
    for _ in range(5):
        tree = random_tree(rng, text.token_ids[-1], 30, 5)
        text.score(tree)
        text.commit(np.array([0]), [1])
    assert text.cache.filled == text.cache.committed == len(text.token_ids) - 1
    slots = text.cache.path_layers[0].bytes_held() // (2 * 2 * 4 * 8)  # keys and values, 2 heads of 4 doubles
    assert slots <= 128  # the smallest buffer still holds five rejected trees of 30 nodes


def test_root_must_be_the_last_token():
    text = ScoredText(tiny_target(), [0, 1])
    with pytest.raises(InvalidInput, match=r"last committed token 1"):
        text.score(root_only(2))


def test_prompts_that_cannot_be_scored():
    target = tiny_target(window=8)
    with pytest.raises(InvalidInput, match="at least one"):
        ScoredText(target, [])
    with pytest.raises(ContextOverflow, match="context window of 8"):
        ScoredText(target, [0] * 8)


def test_nan_states_are_an_error():
    target = tiny_target()
    target.model.model.norm.weight.data[1] = float("nan")
    with pytest.raises(BrokenModelOutput, match="NaN"):
        ScoredText(target, [0, 1]).score(root_only(1))
