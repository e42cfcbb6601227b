"""Batched sampling draws from the same law as reading each text alone."""

import numpy as np
import pytest

from speclight.errors import ContextOverflow
from speclight.models.batch_sampling import sample_continuations
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from toys import law_after, tiny_target

LAW_ATOL = 1e-12  # float64 on both sides
PROMPTS = [[0, 1, 2, 3, 4], [1], [2, 2, 2]]


def test_observed_laws_are_those_of_each_text_read_alone():
    target = tiny_target(vocabulary_size=5, seed=3)
    seen: list[list[np.ndarray]] = [[] for _ in PROMPTS]

    def observe(rows, laws, tokens):
        for row, law in zip(rows, laws, strict=True):
            seen[row].append(law)

    texts = sample_continuations(target, PROMPTS, 6, SamplingSettings(), [1, 2, 3], observe)
    for prompt, text, laws in zip(PROMPTS, texts, seen, strict=True):
        assert len(text.token_ids) == len(laws) == 6
        for step, law in enumerate(laws):
            expected = law_after(target, prompt + list(text.token_ids[:step]))
            np.testing.assert_allclose(law, expected, rtol=0, atol=LAW_ATOL)


def test_a_text_does_not_depend_on_its_batch():
    target = tiny_target(vocabulary_size=5, seed=3)
    together = sample_continuations(target, PROMPTS, 8, SamplingSettings(), [1, 2, 3])
    for prompt, seed, text in zip(PROMPTS, [1, 2, 3], together, strict=True):
        alone = sample_continuations(target, [prompt], 8, SamplingSettings(), [seed])[0]
        assert alone.token_ids == text.token_ids  # float64: no draw lies within rounding of an edge here


def test_first_tokens_follow_the_law():
    """G-like check over 3000 texts, 5 cells: chi-square threshold at a false-alarm rate of 1e-4 is 23.5.

    Power: a law at total variation 0.05 has noncentrality above 30 and is caught with probability above 0.7.
    """
    target = tiny_target(vocabulary_size=5, seed=3)
    texts = sample_continuations(target, [[0, 1]] * 3000, 1, SamplingSettings(), list(range(3000)))
    counts = np.bincount([text.token_ids[0] for text in texts], minlength=5)
    expected = 3000 * law_after(target, [0, 1])
    assert ((counts - expected) ** 2 / expected).sum() < 23.5


def test_end_of_text_stops_a_text_and_not_its_batch():
    target = tiny_target(vocabulary_size=3, seed=1, end_of_text=frozenset({2}))
    texts = sample_continuations(target, [[0], [1], [0, 1]] * 4, 12, SamplingSettings(), list(range(12)))
    assert any(text.ended for text in texts)
    for text in texts:
        assert 2 not in text.token_ids[:-1]
        assert text.ended == (text.token_ids[-1] == 2)
        assert text.ended or len(text.token_ids) == 12


def test_a_text_that_ended_is_read_no_further_and_the_others_keep_their_laws(monkeypatch):
    target = tiny_target(vocabulary_size=5, seed=2, end_of_text=frozenset({4}))
    prompts = [[0], [1, 1, 0], [0, 1], [1, 0, 1, 0]] * 3
    read: list[int] = []
    seen: list[list[np.ndarray]] = [[] for _ in prompts]
    forward = target.forward

    def counted(cache, tokens, *args, **kwargs):
        read.append(len(tokens))
        return forward(cache, tokens, *args, **kwargs)

    def observe(rows, laws, tokens):
        assert rows.tolist() == sorted(rows.tolist())
        for row, law in zip(rows, laws, strict=True):
            seen[row].append(law)

    readings = Readings(target)
    for prompt in prompts:
        readings.begun(prompt)
    monkeypatch.setattr(target, "forward", counted)
    texts = sample_continuations(target, prompts, 12, SamplingSettings(), list(range(12)), observe, readings)
    monkeypatch.undo()
    lengths = [len(text.token_ids) for text in texts]
    assert len(set(lengths)) > 3  # they end at various places
    assert read == [sum(length > step for length in lengths) for step in range(max(lengths))]
    for prompt, text, laws in zip(prompts, texts, seen, strict=True):
        for step, law in enumerate(laws):
            expected = law_after(target, prompt + list(text.token_ids[:step]))
            np.testing.assert_allclose(law, expected, rtol=0, atol=LAW_ATOL)


def test_no_room_for_the_tokens_asked_for():
    with pytest.raises(ContextOverflow, match="do not fit"):
        sample_continuations(tiny_target(window=8), [[0] * 5], 4, SamplingSettings(), [0])
