"""The oracle at real contexts equals brute force on a toy target, whatever shares its forward passes."""

import itertools

import numpy as np
import pytest

from cases import thinned
from speclight.measure import true_limit
from speclight.measure.true_limit import RootedText, in_step, oracle_contexts, oracle_contexts_of_texts
from speclight.models import forest
from speclight.models.sampling import SamplingSettings
from toys import law_after, tiny_target

# Float64 on both sides, sums of up to 9 products.
VALUE_ATOL = 1e-12
TEXT = [0, 1, 2, 2, 1, 0, 1, 1]


def best_value(target, prefix, budget, depth=4):
    """Sum of the `budget` largest path probabilities after a prefix, by listing every path."""
    weights = {(): 1.0}
    for length in range(depth):
        for path in itertools.product(range(target.vocabulary_size), repeat=length):
            if path in weights:
                law = law_after(target, [*prefix, *path])
                for token in range(target.vocabulary_size):
                    if token not in target.end_of_text:
                        weights[(*path, token)] = weights[path] * law[token]
    return sum(sorted(weights.values(), reverse=True)[:budget])


@pytest.mark.parametrize("end_of_text", thinned([frozenset({2}), frozenset()]))
def test_values_equal_brute_force_at_every_budget(end_of_text):
    target = tiny_target(seed=4, end_of_text=end_of_text)
    contexts = oracle_contexts(target, TEXT, [0, 3, 7], 5, SamplingSettings())
    for context in contexts:
        for budget in range(1, 6):
            expected = best_value(target, TEXT[: context.root + 1], budget)
            assert abs(context.tokens_per_call(budget) - expected) < VALUE_ATOL


def test_contexts_do_not_see_each_other():
    target = tiny_target(vocabulary_size=5, seed=2)
    together = oracle_contexts(target, TEXT, [1, 2, 5, 6], 12, SamplingSettings())
    for context in together:
        alone = oracle_contexts(target, TEXT, [context.root], 12, SamplingSettings())[0]
        np.testing.assert_allclose(context.path_log_probs, alone.path_log_probs, rtol=0, atol=1e-10)
        assert context.calls == alone.calls <= 12


def test_texts_searched_in_step_have_the_trees_they_have_alone(monkeypatch):
    """Of unlike lengths and numbers of roots, in passes that hold few nodes, so that levels are cut."""
    target = tiny_target(vocabulary_size=5, seed=2, end_of_text=frozenset({4}))
    texts = [RootedText(TEXT, [1, 6]), RootedText([3], [0]), RootedText(TEXT[::-1][:5], [2, 3, 4])]
    monkeypatch.setattr(forest, "LARGEST_PASS", 7)
    together = oracle_contexts_of_texts(target, texts, 12, SamplingSettings())
    for text, contexts in zip(texts, together, strict=True):
        assert [context.root for context in contexts] == list(text.roots)
        for context in contexts:
            (alone,) = oracle_contexts(target, text.token_ids, [context.root], 12, SamplingSettings())
            np.testing.assert_allclose(context.path_log_probs, alone.path_log_probs, rtol=0, atol=1e-10)
            assert context.depths.tolist() == alone.depths.tolist()
            assert context.calls == alone.calls


def test_neighbouring_texts_are_searched_in_step_while_they_are_small(monkeypatch):
    monkeypatch.setattr(true_limit, "MOST_ROOTS", 5)
    monkeypatch.setattr(true_limit, "MOST_TOKENS", 100)
    assert in_step([]) == []
    assert in_step([(9, 500)]) == [range(0, 1)]
    assert in_step([(2, 10), (3, 10), (1, 10), (1, 80), (1, 20), (6, 1), (1, 1)]) == [
        range(0, 2),
        range(2, 4),
        range(4, 5),
        range(5, 6),
        range(6, 7),
    ]


def test_the_law_searched_is_the_processed_one():
    target = tiny_target(seed=4)
    greedy = oracle_contexts(target, TEXT, [7], 6, SamplingSettings(temperature=0.0))[0]
    assert greedy.tokens_per_call(6) == 6.0
    top_one = oracle_contexts(target, TEXT, [7], 6, SamplingSettings(top_k=1))[0]
    assert top_one.tokens_per_call(6) == 6.0


def test_a_certain_end_of_text_leaves_the_root_alone():
    target = tiny_target(seed=4, end_of_text=frozenset({0, 1, 2}))
    context = oracle_contexts(target, TEXT, [7], 6, SamplingSettings())[0]
    assert context.tokens_per_call(6) == 1.0
    assert context.depth == 0


def test_plain_decoding_has_the_limit_one():
    assert oracle_contexts(tiny_target(), TEXT, [3], 1, SamplingSettings())[0].tokens_per_call(1) == 1.0
