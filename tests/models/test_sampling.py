"""Logits to probabilities, against Transformers' own warpers and against the definitions."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.errors import BrokenModelOutput, InvalidInput
from speclight.models.sampling import SamplingSettings, processed_probabilities

# Two float64 softmaxes over 1000 tokens that sum in different orders differ by a few units in the last place
# of numbers <= 1 (2.2e-16 each, at most 1e3 additions).
SOFTMAX_ATOL = 1e-12


def transformers_law(logits, sampling):
    """The law of Transformers' warpers, in the order in which `generate` applies them."""
    import torch
    from transformers.generation.logits_process import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    scores = torch.from_numpy(np.array(logits, dtype=np.float64))
    warpers = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k is not None:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p is not None:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    for warper in warpers:
        scores = warper(None, scores)
    return scores.softmax(-1).numpy()


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 4),
    vocab=st.integers(1, 1000),
    temperature=st.sampled_from([0.1, 0.7, 1.0, 1.5, 10.0]),
    top_k=st.none() | st.integers(1, 1200),
    top_p=st.none() | st.floats(0.01, 1.0),
)
def test_law_equals_transformers_warpers(seed, rows, vocab, temperature, top_k, top_p):
    logits = 4.0 * np.random.default_rng(seed).standard_normal((rows, vocab))
    sampling = SamplingSettings(temperature, top_k, top_p)
    np.testing.assert_allclose(
        processed_probabilities(logits, sampling),
        transformers_law(logits, sampling),
        rtol=0,
        atol=SOFTMAX_ATOL,
    )


def test_order_of_the_warpers_is_the_one_generate_uses():
    """Top-p acts on what temperature and top-k left: the other orders keep other tokens here."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(shape)
    config = GenerationConfig(do_sample=True, temperature=0.5, top_k=3, top_p=0.6)
    processors = model._get_logits_processor(  # pyright: ignore[reportAttributeAccessIssue]
        config, input_ids_seq_length=1
    )
    names = [type(processor).__name__ for processor in processors]
    assert names == ["TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper"]

    # After top-k the second token has 3/7 < 1 - top_p of the mass and goes; before it, 0.1 + 0.2 + 0.3 > 0.5
    # would have kept it.
    logits = np.log([[0.4, 0.3, 0.2, 0.1]])
    law = processed_probabilities(logits, SamplingSettings(temperature=1.0, top_k=2, top_p=0.5))
    assert law.tolist() == [[1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(("top_k", "top_p"), [(2, None), (None, 0.5), (None, 0.25), (40, 0.75)])
def test_as_many_ties_stay_as_in_transformers_and_the_lowest_ids(top_k, top_p):
    """Equal logits, a power of two of them: every sum is exact, so the cut falls on a tie for certain."""
    logits = np.full((3, 64), -np.inf)
    logits[0] = logits[1, ::2] = logits[2, 48:] = 0.0
    sampling = SamplingSettings(1.0, top_k, top_p)
    law = processed_probabilities(logits, sampling)
    # Which of the equals stay is undefined there (an unstable sort), how many is not.
    assert np.sort(law).tolist() == np.sort(transformers_law(logits, sampling)).tolist()
    share = 1.0 if top_p is None else top_p
    for row, candidates in zip(law, (np.arange(64), np.arange(0, 64, 2), np.arange(48, 64)), strict=True):
        assert np.flatnonzero(row).tolist() == candidates[: int(share * len(candidates))].tolist()


def law_by_sorting_everything(law, top_p):
    """Top-p by its definition: the fewest best tokens with at least this mass, of equals the lowest ids."""
    order = np.argsort(-law, kind="stable")
    fewest = int(np.searchsorted(np.cumsum(law[order]), top_p)) + 1
    kept = np.zeros_like(law)
    kept[order[:fewest]] = law[order[:fewest]]
    return kept / kept.sum()


@pytest.mark.parametrize("top_p", [1e-17, 0.3, 0.9, 0.999, 1 - 1e-9])
@pytest.mark.parametrize("spread", [0.0, 0.001, 1.0, 5.0])
def test_top_p_sorts_enough_of_a_large_vocabulary(top_p, spread):
    """From a uniform law, of which nearly everything is kept, to one of a few likely tokens."""
    logits = spread * np.random.default_rng(0).standard_normal(50_000)
    law = processed_probabilities(logits[None], SamplingSettings())[0]
    np.testing.assert_allclose(
        processed_probabilities(logits[None], SamplingSettings(top_p=top_p))[0],
        law_by_sorting_everything(law, top_p),
        rtol=0,
        atol=SOFTMAX_ATOL,
    )


def test_plain_law_is_the_softmax_in_float64():
    logits = np.array([[0.0, np.log(2.0), np.log(5.0)]], dtype=np.float32)
    law = processed_probabilities(logits, SamplingSettings())
    assert law.dtype == np.float64
    # float32 keeps log 2 and log 5 to 6e-8 relative.
    np.testing.assert_allclose(law, [[1 / 8, 2 / 8, 5 / 8]], rtol=0, atol=1e-7)


@given(
    seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.01, 1.0, 1e4, 1e30]), shift=st.floats(-1e4, 1e4)
)
@settings(max_examples=50, deadline=None)
def test_every_row_is_a_law_whatever_the_scale(seed, scale, shift):
    logits = scale * np.random.default_rng(seed).standard_normal((3, 50)) + shift
    law = processed_probabilities(logits, SamplingSettings(0.8, 20, 0.9))
    assert (law >= 0).all()
    np.testing.assert_allclose(law.sum(axis=1), 1.0, rtol=0, atol=SOFTMAX_ATOL)
    assert (law.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert ((law > 0).sum(axis=1) <= 20).all()


@given(logits=st.lists(st.sampled_from([-1.0, 0.0, 3.0, -np.inf]), min_size=1, max_size=6))
def test_temperature_zero_is_the_lowest_best_token(logits):
    if max(logits) == -np.inf:
        logits[0] = 0.0
    law = processed_probabilities(np.array([logits]), SamplingSettings(0.0, top_k=2, top_p=0.5))
    expected = np.zeros(len(logits))
    expected[logits.index(max(logits))] = 1.0
    assert law.tolist() == [expected.tolist()]


def test_temperature_next_to_zero_does_not_overflow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law = processed_probabilities(np.array([[1.0, 2.0, 2.0, 1e30]]), SamplingSettings(5e-324))
    assert law.tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_excluded_tokens_stay_excluded():
    logits = np.array([[-np.inf, 0.0, -np.inf, 0.0]])
    for sampling in (SamplingSettings(), SamplingSettings(0.5, 3), SamplingSettings(1.0, None, 0.9)):
        assert processed_probabilities(logits, sampling).tolist() == [[0.0, 0.5, 0.0, 0.5]]


def test_input_is_not_changed_and_no_rows_are_fine():
    logits = np.array([[1.0, 2.0, 3.0]])
    processed_probabilities(logits, SamplingSettings(0.5, 2, 0.5))
    assert logits.tolist() == [[1.0, 2.0, 3.0]]
    assert processed_probabilities(np.empty((0, 5)), SamplingSettings(1.0, 2, 0.5)).shape == (0, 5)


@pytest.mark.parametrize("broken", [[np.nan, 0.0], [0.0, np.nan], [-np.inf, -np.inf], [np.inf, 0.0]])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_broken_logits_are_named_by_row(broken, temperature):
    logits = np.array([[0.0, 1.0], broken])
    with pytest.raises(BrokenModelOutput, match="row 1"):
        processed_probabilities(logits, SamplingSettings(temperature))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"top_k": 1.5},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": float("nan")},
    ],
)
def test_settings_refuse_what_is_out_of_range(wrong):
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        SamplingSettings(**wrong)


@pytest.mark.parametrize("shape", [(3,), (2, 0), (1, 2, 3)])
def test_shape_is_checked(shape):
    with pytest.raises(InvalidInput, match="rows, vocab"):
        processed_probabilities(np.zeros(shape), SamplingSettings())
