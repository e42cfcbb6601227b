"""Rows of a Transformers batch: padding is located, and each row is shown what `generate` would show it."""

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

import speclight
from speclight.decoding.settings import DecodeSettings
from speclight.errors import InvalidInput
from toys import tiny_llama, tiny_target

VOCABULARY = 7
ROWS = [[1, 2, 3, 1, 2], [4, 5, 6, 4, 5], [2, 3, 2, 3, 2]]


@pytest.fixture
def model():
    return tiny_llama(VOCABULARY, seed=4, window=128).double()


def generated(model, rows=ROWS, speculatively=True, **options):
    ids = torch.tensor(list(rows))
    mask = options.pop("attention_mask", torch.ones_like(ids))
    if speculatively:
        options["custom_generate"] = speclight.transformers_generate
    return model.generate(
        ids, attention_mask=mask, pad_token_id=0, do_sample=False, max_new_tokens=12, **options
    )


def both(model, **options):
    return [
        generated(model, speculatively=speculatively, **options).tolist() for speculatively in (True, False)
    ]


@pytest.mark.parametrize(
    "mask", [[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0], [1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 1, 1]]
)
def test_padding_anywhere_but_on_the_left_is_refused(model, mask):
    with pytest.raises(InvalidInput, match=r"row 1 of input_ids has .* padding_side='left'"):
        generated(model, [[1] * 6, [5, 6, 1, 2, 0, 0]], attention_mask=torch.tensor([[1] * 6, mask]))


@pytest.mark.parametrize("mask", [torch.ones(1, 1, 5, 5), torch.ones(3, 4)])
def test_masks_of_another_shape_are_refused(model, mask):
    with pytest.raises(InvalidInput, match="expected the shape of input_ids"):
        speclight.transformers_generate(
            model,
            torch.tensor(ROWS),
            LogitsProcessorList(),
            StoppingCriteriaList(),
            model.generation_config,
            attention_mask=mask,
        )


def test_a_constraint_knows_its_row(model):
    """Each row may write tokens of its own only; one emitted elsewhere would be forbidden there."""
    allowed = ([1, 2, 3], [4, 5, 6], [0, 6])
    seen = set()

    def of_row(row, ids):
        seen.add(row)
        return allowed[row]

    ours, theirs = both(model, prefix_allowed_tokens_fn=of_row)
    assert seen == {0, 1, 2}
    assert ours == theirs
    for row, text in enumerate(ours):
        assert set(text[5:]) <= set(allowed[row])


def test_constraints_hold_with_padding_and_several_sequences(model):
    seen = []

    def of_row(row, ids):
        seen.append((row, ids[:5].tolist()))
        return [1 + row % 2, 3 + row % 2, 5]

    rows = [[0, 0, *ROWS[0][:3]], ROWS[1]]
    mask = torch.tensor([[0, 0, 1, 1, 1], [1] * 5])
    options = {"rows": rows, "attention_mask": mask, "prefix_allowed_tokens_fn": of_row}
    torch.manual_seed(0)
    ours, theirs = both(model, **options)
    assert ours == theirs
    assert set(map(repr, seen)) == {repr((0, rows[0])), repr((1, rows[1]))}


class RowBias(LogitsProcessor):
    """A user's own: a bias [rows, vocab] of each row's own."""

    def __init__(self, rows):
        self.bias = torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(1)).double() * 5

    def __call__(self, input_ids, scores):
        return scores.add_(self.bias)  # in place, as processors may


@pytest.mark.parametrize(
    "options", [{"encoder_repetition_penalty": 1.8}, {"encoder_no_repeat_ngram_size": 2}]
)
def test_processors_that_hold_all_rows_prompts(model, options):
    ours, theirs = both(model, **options)
    assert ours == theirs


def test_a_users_row_aware_processor(model):
    ours, theirs = both(model, logits_processor=LogitsProcessorList([RowBias(len(ROWS))]))
    assert ours == theirs


class StopsAtLength(StoppingCriteria):
    """Row i stops at lengths[i] tokens."""

    def __init__(self, lengths):
        self.lengths = torch.tensor(lengths)

    def __call__(self, input_ids, scores, **kwargs):
        return input_ids.shape[1] >= self.lengths


class StopsAll(StoppingCriteria):
    def __call__(self, input_ids, scores, **kwargs):
        return bool(input_ids[0, -1] == 3)


def test_criteria_stop_their_own_row(model):
    criteria = StoppingCriteriaList([StopsAtLength([9, 7, 12])])
    ours, theirs = both(model, stopping_criteria=criteria)
    for row, (length, text) in enumerate(zip([9, 7, 12], ours, strict=True)):
        # There, without an end-of-text token, a row that is done is written on until all are.
        assert text[:length] == theirs[row][:length]
        assert text[length:] == [0] * (12 - length)


def test_criteria_that_stop_all_rows_are_refused(model):
    criteria = StoppingCriteriaList([StopsAll()])
    with pytest.raises(InvalidInput, match=r"StopsAll gave an answer of shape \(\) for 3 rows"):
        generated(model, stopping_criteria=criteria)
    ours, theirs = both(model, rows=ROWS[:1], stopping_criteria=criteria)
    assert ours == theirs


@pytest.mark.parametrize("rows", [1, 2])
def test_guidance_is_refused(model, rows):
    with pytest.raises(InvalidInput, match="guidance_scale"):
        generated(model, ROWS[:rows], guidance_scale=1.5)


class Follows:
    """A grammar's state: it takes the last token in, call by call."""

    def __init__(self, fails):
        self.calls, self.fails = 0, fails

    def __call__(self, input_ids, scores):
        self.calls += 1
        if self.fails and self.calls > 1:
            raise AssertionError("token not accepted")
        return scores + self.calls * torch.arange(scores.shape[1])


@pytest.mark.parametrize(("fails", "reason"), [(False, "two answers to one question"), (True, "then failed")])
def test_processors_with_a_state_of_their_own_are_found(fails, reason):
    with pytest.raises(InvalidInput, match=reason):
        speclight.generate(tiny_target(VOCABULARY), "t1 t2", processors=[Follows(fails)], max_tokens=4)


def test_stateful_processors_are_refused_in_settings(model):
    from transformers.generation.logits_process import UnbatchedClassifierFreeGuidanceLogitsProcessor

    with pytest.raises(InvalidInput, match="UnbatchedClassifierFreeGuidanceLogitsProcessor"):
        DecodeSettings(processors=(UnbatchedClassifierFreeGuidanceLogitsProcessor(1.5, model),))
