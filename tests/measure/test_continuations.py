"""Fresh continuations: the target's own text, stopped where it says, with the tokens listed beside it."""

import numpy as np

from speclight.measure.continuations import continuations_at
from speclight.measure.true_limit import oracle_contexts
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.seen_trees import seen_tree
from toys import law_after, tiny_target

ROUNDING_ATOL = 1e-9


def test_tokens_are_drawn_by_their_uniforms_from_the_laws_of_their_own_path():
    target, text = tiny_target(vocabulary_size=5, seed=4), [0, 1, 2, 3]
    uniforms = np.random.default_rng(1).random((2, 3, 6))
    found = continuations_at(target, text, [1, 3], uniforms, 100.0, SamplingSettings())
    assert [len(items) for items in found] == [3, 3]
    for root, items, draws in zip((1, 3), found, uniforms, strict=True):
        for item, own in zip(items, draws, strict=True):
            path = text[: root + 1]
            for token, log_prob, (listed, listed_log_probs), uniform in zip(
                item.tokens.tolist(), item.log_probs, item.alternatives, own, strict=True
            ):
                law = law_after(target, path)
                np.testing.assert_allclose(log_prob, np.log(law[token]), atol=ROUNDING_ATOL)
                assert law[:token].sum() - ROUNDING_ATOL <= uniform <= law[: token + 1].sum() + ROUNDING_ATOL
                assert sorted(listed.tolist()) == [0, 1, 2, 3, 4]
                np.testing.assert_allclose(listed_log_probs, np.log(law[listed]), atol=ROUNDING_ATOL)
                path = [*path, token]


def test_continuations_stop_at_an_end_and_beyond_the_reach():
    target = tiny_target(vocabulary_size=5, seed=4, end_of_text=frozenset({2}))
    uniforms = np.random.default_rng(2).random((1, 200, 12))
    (items,) = continuations_at(target, [0, 1], [1], uniforms, 3.0, SamplingSettings())
    ended = [item for item in items if item.tokens[-1] == 2]
    assert 0 < len(ended) < 200
    for item in items:
        assert 2 not in item.tokens[:-1]
        assert -item.log_probs[:-1].sum() <= 3.0
        assert item.tokens[-1] == 2 or len(item.tokens) == 12 or -item.log_probs.sum() > 3.0


def test_seen_trees_come_close_to_the_searched_one_and_never_exceed_it():
    target = tiny_target(vocabulary_size=6, seed=3)
    (tree,) = oracle_contexts(target, [0, 1], [1], 12, SamplingSettings())
    best = tree.tokens_per_call(12)
    uniforms = np.random.default_rng(3).random((1, 16, 11))
    (items,) = continuations_at(target, [0, 1], [1], uniforms, 5.0, SamplingSettings())
    assert 0.9 * best < seen_tree(items, 12) <= best + ROUNDING_ATOL
