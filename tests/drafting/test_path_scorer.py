"""Scores of drafted paths equal those of each path alone, through any history; nothing is read twice."""

import numpy as np
import pytest
import torch

from speclight.drafting.layer_skip import early_exit
from speclight.drafting.path_scorer import PathScorer
from speclight.drafting.vocabulary import same_vocabulary
from speclight.errors import BrokenModelOutput
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree, root_only
from speclight.trees.growing_tree import DraftCost
from toys import as_target, law_after, tiny_llama, tiny_target

# Both sides are float64; attention over 20 slots in another order moves a probability by less than this.
LAW_ATOL = 1e-12
VOCABULARY = 5


def scorer_of(model):
    return PathScorer(model, same_vocabulary(model, model))


def random_paths(rng, count):
    """Paths that form a tree, parents first."""
    paths = [()]
    while len(paths) < count:
        path = (*paths[int(rng.integers(len(paths)))], int(rng.integers(VOCABULARY)))
        if path not in paths:
            paths.append(path)
    return paths


def worst_error(scorer, reference, text, paths):
    return max(
        float(np.abs(torch.softmax(scorer.row(path), 0).numpy() - law_after(reference, [*text, *path])).max())
        for path in paths
    )


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_each_path_alone_through_a_history(seed):
    rng = np.random.default_rng(seed)
    model = tiny_target(VOCABULARY, seed)
    scorer, text = scorer_of(model), [1, 2, 3]
    scorer.begin(text)
    for _ in range(6):
        paths = random_paths(rng, 8)
        for call in np.array_split(np.arange(8), 3):  # three calls, parents before children
            scorer.score([paths[place] for place in call])
        assert worst_error(scorer, model, text, paths) < LAW_ATOL
        accepted = paths[int(rng.integers(8))]
        emitted = [*accepted, int(rng.integers(VOCABULARY))]
        scorer.extend(emitted)
        text = text + emitted


def test_nothing_is_read_twice():
    """Every token of the text enters the model once, however often it is asked about."""
    model = tiny_target(VOCABULARY)
    scorer = scorer_of(model)
    read = []
    forward = model.forward

    def counting(cache, tokens, *args, **kwargs):
        read.append(tokens.shape[1])
        return forward(cache, tokens, *args, **kwargs)

    model.forward = counting
    scorer.begin([0, 1, 2])
    scorer.score([(), (3,), (3, 4), (1,)])
    scorer.score([(3, 4), ()])
    assert read == [2, 4]  # the prompt but its last token, then the root and three drafted tokens
    scorer.extend([3, 4, 0])
    scorer.score([(), (2,)])
    assert read == [2, 4, 2]  # 0, the target's own token and new root, and the drafted 2
    scorer.extend([2])
    scorer.score([()])
    assert read == [2, 4, 2]  # the new root was a scored path: its row is known
    assert scorer.spent() == DraftCost(calls=2, expanded_nodes=6)
    assert scorer.spent() == DraftCost(calls=0, expanded_nodes=0)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_scored_below_the_emitted_tokens_is_kept(seed):
    """Beside whatever else was scored, through several extensions: the rows are those of the new text."""
    rng = np.random.default_rng(seed)
    model, text = tiny_target(VOCABULARY, seed), [1, 2, 3]
    scorer = scorer_of(model)
    scorer.begin(text)
    scorer.score(random_paths(rng, 40))
    scorer.spent()
    held = set(scorer._rows)
    kept = 0
    while inner := sorted(path for path in held if 0 < len(path) < 3 and any_below(path, held)):
        emitted = inner[int(rng.integers(len(inner)))]
        scorer.extend(list(emitted))
        text += emitted
        held = {path[len(emitted) :] for path in held if path[: len(emitted)] == emitted}
        assert set(scorer._rows) == held
        assert worst_error(scorer, model, text, held) < LAW_ATOL
        kept += len(held)
        scorer.score([*held, *[(*path, 4) for path in held]])  # below what was kept, too
        held = set(scorer._rows)
        assert worst_error(scorer, model, text, held) < LAW_ATOL
        if len(text) > 12:
            break
    assert kept > 10
    scorer.extend([0, 0, 0, 0, 0, 0])
    assert scorer._rows == {}
    scorer.score([()])
    assert worst_error(scorer, model, [*text, 0, 0, 0, 0, 0, 0], [()]) < LAW_ATOL


def any_below(path, paths):
    return any(len(other) > len(path) and other[: len(path)] == path for other in paths)


def test_the_common_beginning_of_two_texts_is_read_once():
    """As across the turns of a conversation; the rows stay those of the text alone."""
    model = tiny_target(VOCABULARY)
    scorer = scorer_of(model)
    scorer.begin([0, 1, 2, 3, 4])
    scorer.score([(), (1,)])
    scorer.extend([1, 0])
    assert scorer._own.committed == 6
    read = []
    forward = model.forward

    def counting(cache, tokens, *args, **kwargs):
        read.append(tokens.tolist()[0])
        return forward(cache, tokens, *args, **kwargs)

    model.forward = counting
    scorer.begin([0, 1, 2, 3, 4, 1, 2, 2])
    scorer.score([()])
    assert read == [[2], [2]]
    assert worst_error(scorer, model, [0, 1, 2, 3, 4, 1, 2, 2], [()]) < LAW_ATOL
    scorer.begin([0, 1, 4])
    scorer.score([()])
    assert read[2:] == [[4]]
    assert worst_error(scorer, model, [0, 1, 4], [()]) < LAW_ATOL
    scorer.begin([3])
    scorer.score([()])
    assert worst_error(scorer, model, [3], [()]) < LAW_ATOL


def test_memory_does_not_grow_with_rejected_paths():
    model = tiny_target(VOCABULARY)
    scorer, rng = scorer_of(model), np.random.default_rng(0)
    scorer.begin([0, 1])
    for step in range(6):
        scorer.score(random_paths(rng, 30))
        scorer.extend([step % VOCABULARY, 0])
    # All but the last of 2 + 12 tokens, or all of them; the smallest buffer (128) holds six drafts of 30.
    assert scorer._own.committed in (13, 12)
    assert scorer._own.bytes_held() == 128 * 2 * 2 * 2 * 4 * 8  # slots, layers, keys and values, heads, size


class TestBorrowing:
    def test_the_rows_are_the_same_and_the_target_sees_no_trace(self):
        """Early exit in the target's cache: rows of the cut model alone, then an undisturbed target call."""
        target = as_target(tiny_llama(VOCABULARY, layers=3))
        exit_model = early_exit(target, 2)
        scorer, rng = scorer_of(exit_model), np.random.default_rng(1)
        text = ScoredText(target, [1, 2, 3, 0])
        scorer.borrow(text.cache)
        scorer.begin(text.token_ids)
        assert scorer._own.filled == 0  # no cache of its own
        for _ in range(4):
            paths = random_paths(rng, 6)
            scorer.score(paths[:3])
            scorer.score(paths)
            assert worst_error(scorer, exit_model, text.token_ids, paths) < LAW_ATOL
            scorer.give_back()
            assert {layer.length for layer in text.cache.path_layers} == {text.cache.committed}
            tree = DraftTree(np.array([text.token_ids[-1], 4]), np.array([-1, 0]), np.zeros(2))
            laws = torch.softmax(text.score(tree), dim=1).numpy()
            assert np.abs(laws[1] - law_after(target, [*text.token_ids, 4])).max() < LAW_ATOL
            text.commit(np.array([0, 1]), [4, 2])
            scorer.extend([4, 2])

    def test_what_is_not_given_back_is_noticed(self):
        """The check above can fail: slots left behind shift the target's own."""
        target = as_target(tiny_llama(VOCABULARY, layers=3))
        scorer = scorer_of(early_exit(target, 2))
        text = ScoredText(target, [1, 2, 3, 0])
        scorer.borrow(text.cache)
        scorer.begin(text.token_ids)
        scorer.score([(), (1,)])
        assert {layer.length for layer in text.cache.path_layers} == {3, 5}

    def test_it_lasts_for_one_text(self):
        target = tiny_target(VOCABULARY)
        scorer = scorer_of(target)
        scorer.borrow(ScoredText(target, [0, 1]).cache)
        scorer.begin([0, 1])
        scorer.begin([2, 3, 4])
        scorer.score([()])
        assert worst_error(scorer, target, [2, 3, 4], [()]) < LAW_ATOL
        assert scorer._own.filled == 3


def test_outside_the_window_there_are_no_rows():
    scorer = scorer_of(tiny_target(VOCABULARY, window=6))
    scorer.begin([0, 1, 2, 3])
    scorer.score([(), (1,), (1, 2), (1, 2, 3)])
    assert scorer.is_scored((1, 2))
    assert scorer.row((1, 2, 3)) is None
    scorer.extend([1, 2, 0])
    scorer.score([()])
    assert scorer.row(()) is None
    scorer.begin([0] * 9)  # longer than the window from the start
    scorer.score([()])
    assert scorer.row(()) is None


def test_a_failed_pass_leaves_a_sound_cache():
    model = tiny_target(VOCABULARY)
    scorer = scorer_of(model)
    scorer.begin([0, 1, 2])
    scorer.score([(), (1,)])
    norm = model.model.model.norm.weight
    sound = norm.data.clone()
    norm.data[1] = float("nan")
    with pytest.raises(BrokenModelOutput):
        scorer.score([(1, 2)])
    norm.data.copy_(sound)
    scorer.score([(), (1,), (1, 2)])
    assert worst_error(scorer, model, [0, 1, 2], [(), (1,), (1, 2)]) < LAW_ATOL
    scorer.extend([1, 3])
    scorer.score([()])
    assert worst_error(scorer, model, [0, 1, 2, 1, 3], [()]) < LAW_ATOL


def test_root_only_scoring_is_plain_decoding():
    model = tiny_target(VOCABULARY)
    text, scorer = ScoredText(model, [0, 1, 2]), scorer_of(model)
    scorer.begin([0, 1, 2])
    scorer.score([()])
    np.testing.assert_allclose(
        scorer.row(()).numpy(), text.score(root_only(2))[0].numpy(), rtol=0, atol=LAW_ATOL
    )
