"""Steps of a layer computed in one go are those computed one by one."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from speclight.models.compiled_rows import MOST_ROWS, compiled_steps
from speclight.models.few_rows import exchanged_products
from speclight.models.packed_weights import packed_of
from speclight.models.row_steps import RowChain, RowNorm, RowStep, steps_one_by_one

# Float32, three sums of at most 64 products of size 1; a norm, a bias or a residual left out is off by 0.1.
ATOL = 2e-4
# Rows rounded to 16 bits in between.
ROUNDED_ATOL = 5e-3
one_by_one = steps_one_by_one(exchanged_products)


def norm(width, epsilon=1e-5):
    return RowNorm(SimpleNamespace(weight=1.0 + torch.rand(width), variance_epsilon=epsilon))


def linear(width, outputs, bias=False, coded=False):
    layer = nn.Linear(width, outputs, bias=bias).requires_grad_(False)
    if coded:
        steps = torch.randint(16, (outputs, width)).float()
        steps[:, ::32], steps[:, 1::32] = 0.0, 15.0
        packed = packed_of(0.0625 * steps - 0.5)
        assert packed is not None
        layer.weight = packed
    return layer


def chain(coded, bias):
    """As behind attention: with what is added, then normed and read by two layers; and one more."""
    return RowChain(
        [
            RowStep(linear(64, 32, bias, coded)),
            RowStep(linear(32, 33, bias, coded), linear(32, 31, bias, coded), norm=norm(32)),
            RowStep(linear(64, 5, bias, coded), norm=norm(64, 0.3)),
        ]
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 5, 8, 9, MOST_ROWS + 1])
def test_in_one_go_and_one_by_one(rows, bias, coded, threads):
    torch.manual_seed(rows)
    steps = chain(coded, bias)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for added in (None, torch.randn(rows, 32)):
            given = torch.randn(rows, 64)
            made, expected = compiled_steps(steps, given, added), one_by_one(steps, given, added)
            assert [output.shape[1] for output in made] == [32, 64, 5]
            for one, other in zip(made, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=ROUNDED_ATOL if coded else ATOL)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_was_written_to_is_read_anew(place):
    torch.manual_seed(0)
    steps, given = chain(coded=False, bias=True), torch.randn(3, 64)
    before = compiled_steps(steps, given, None)
    step = steps[1]
    assert step.norm is not None
    written = (step.weights[1], step.norm.weight, step.bias)[place]
    written.mul_(2.0)
    made, expected = compiled_steps(steps, given, None), one_by_one(steps, given, None)
    torch.testing.assert_close(made[1], expected[1], rtol=0, atol=ATOL)
    assert not torch.allclose(made[1], before[1], rtol=0, atol=0.1)


def test_a_copy_has_its_own_numbers():
    torch.manual_seed(0)
    steps, given = chain(coded=False, bias=True), torch.randn(3, 64)
    before = compiled_steps(steps, given, None)
    other = copy.deepcopy(steps)
    other[0].weights[0].zero_()
    assert torch.equal(compiled_steps(steps, given, None)[2], before[2])
    assert torch.equal(compiled_steps(other, given, None)[0], other[0].bias.expand(3, -1))


def test_what_has_gradients_goes_one_by_one_and_later_in_one_go():
    torch.manual_seed(0)
    steps, given = chain(coded=False, bias=False), torch.randn(3, 64)
    compiled_steps(steps, given, None)
    weight = steps[0].weights[0].requires_grad_(True)
    compiled_steps(steps, given, None)[2].sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
    with torch.no_grad():
        made, expected = compiled_steps(steps, given, None), one_by_one(steps, given, None)
    torch.testing.assert_close(made[2], expected[2], rtol=0, atol=ATOL)


def test_steps_made_in_inference_mode():
    """Which does not count how often a tensor was written to."""
    with torch.inference_mode():
        torch.manual_seed(0)
        steps, given = chain(coded=True, bias=True), torch.randn(3, 64)
        made, expected = compiled_steps(steps, given, None), one_by_one(steps, given, None)
    torch.testing.assert_close(made[2], expected[2], rtol=0, atol=ROUNDED_ATOL)
