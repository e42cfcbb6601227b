"""Weights that a few bits say exactly: found, kept in codes, multiplied with rows rounded to 16 bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speclight.models import compiled_rows
from speclight.models.compiled_rows import compiled_products
from speclight.models.few_rows import use_products
from speclight.models.kernels import use_kernels
from speclight.models.packed_weights import PackedParameter, pack_weights, packed_of, round_weights
from toys import tiny_llama

# Float32: sums of 96 products of size 1 at most.
ATOL = 1e-4
# Float32: three blocks' exact sums, times numbers of size 1 at most.
EXACT_ATOL = 1e-5
# Float32: one product and one offset.
ONE_RTOL = 3e-7
BLOCK = 32


def of_four_bits(rows, width, seed=0):
    """As Q4_1 says weights: step and least weight in float16, sixteen codes."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, width // BLOCK, 1)
    steps = (0.01 + 0.1 * torch.rand(shape, generator=generator)).half().float()
    least = (-8.0 * steps + 0.1 * torch.randn(shape, generator=generator)).half().float()
    codes = torch.randint(16, (rows, width // BLOCK, BLOCK), generator=generator)
    codes[..., 0], codes[..., 1] = 0, 15
    return (steps * codes + least).reshape(rows, width)


def of_eight_bits(rows, width, seed=0):
    """As Q8_0 does: a step in float16, signed codes of which one is the largest."""
    generator = torch.Generator().manual_seed(seed)
    steps = (0.01 * torch.rand((rows, width // BLOCK, 1), generator=generator)).half().float()
    codes = torch.randint(-127, 128, (rows, width // BLOCK, BLOCK), generator=generator)
    codes[..., 3] = -127
    return (steps * codes).reshape(rows, width)


MADE = {4: of_four_bits, 8: of_eight_bits}


@pytest.mark.parametrize("bits", MADE)
def test_every_weight_is_the_number_it_was(bits):
    weight = MADE[bits](70, 96)
    packed = packed_of(weight)
    assert packed is not None
    assert packed.bits == bits
    assert packed.data_ptr() == weight.data_ptr()
    for first in range(0, 96, BLOCK):  # rows with a single one read the weights out
        ones = torch.eye(96)[first : first + BLOCK]
        assert_read(packed, ones, weight[:, first : first + BLOCK])


def assert_read(packed, ones, expected):
    read = compiled_products(ones, [packed]).T
    torch.testing.assert_close(read, expected, rtol=0, atol=ONE_RTOL * float(packed.abs().max()))


def rounded(rows):
    """What the products take for rows: of each block whole numbers up to 32767, times a factor."""
    blocks = rows.unflatten(1, (-1, BLOCK))
    factors = blocks.abs().amax(2, keepdim=True) / 32767.0
    numbers = torch.where(factors > 0, blocks * (1.0 / factors), 0.0).round()
    return (numbers.double() * factors.double()).flatten(1)


@pytest.mark.parametrize("rows", [*range(1, 12), 16, compiled_rows.MOST_ROWS])
def test_products_are_those_of_the_rounded_rows(rows):
    torch.manual_seed(rows)
    given = torch.randn(rows, 96)
    given[0, 40:70] = 0.0
    given[rows // 2, 32:64] = 0.0
    weights = [of_four_bits(33, 96), torch.randn(5, 96), of_eight_bits(100, 96), of_four_bits(1, 96)]
    mixed = [packed_of(weight) if number != 1 else weight for number, weight in enumerate(weights)]
    products = compiled_products(given, mixed).double()
    read = [given.double() if number == 1 else rounded(given) for number in range(4)]
    expected = torch.cat([one @ weight.double().T for one, weight in zip(read, weights, strict=True)], 1)
    torch.testing.assert_close(products, expected, rtol=0, atol=EXACT_ATOL)
    # Each number is off by half a factor at most.
    far = given.unflatten(1, (-1, BLOCK)).abs().amax(2).double() / 32767.0 / 2.0
    assert_within(products, given, weights, far)


def assert_within(products, given, weights, far):
    exact = torch.cat([given.double() @ weight.double().T for weight in weights], 1)
    sizes = torch.cat([weight.double().abs().unflatten(1, (-1, BLOCK)).sum(2) for weight in weights])
    assert ((products - exact).abs() <= far @ sizes.T + EXACT_ATOL).all()


@pytest.mark.parametrize("bits", MADE)
def test_a_rows_products_are_the_same_to_the_bit_whatever_stands_beside_it(bits):
    torch.manual_seed(bits)
    given, packed = torch.randn(300, 96), packed_of(MADE[bits](131, 96))
    alone = torch.cat([compiled_products(row[None], [packed]) for row in given])
    for count in [*range(2, 18), compiled_rows.MOST_ROWS, compiled_rows.MOST_ROWS + 1, len(given)]:
        assert torch.equal(compiled_products(given[:count].contiguous(), [packed]), alone[:count])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_a_row_stays_in_its_row_and_is_not_lost(value):
    torch.manual_seed(0)
    given, packed = torch.randn(5, 96), packed_of(of_four_bits(20, 96))
    expected = compiled_products(given, [packed])
    given[3, 50] = value
    products = compiled_products(given, [packed])
    assert not products[3].isfinite().any()
    others = [0, 1, 2, 4]
    assert torch.equal(products[others], expected[others])


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-34, 1e-30, 1e30])
def test_very_small_and_very_large_rows(size):
    torch.manual_seed(0)
    given, packed = torch.randn(3, 96).clamp(-2.0, 2.0) * size, packed_of(of_eight_bits(20, 96))
    # A block of numbers below 32767 times the least normal one, 3.9e-34, counts as zeros.
    lost = 3.9e-34 * float(packed.abs().sum(1).max())
    expected = given.double() @ packed.detach().double().T
    products = compiled_products(given, [packed])
    torch.testing.assert_close(products.double(), expected, rtol=1e-3, atol=max(1e-4 * size, lost))


PRODUCTS_ELSEWHERE = """
import sys, torch
from test_packed_weights import MADE, packed_of, compiled_products
from speclight.models.packed_dots import LANES, PAIRS_ADDED
assert (LANES, PAIRS_ADDED is None) == ({lanes}, {without})
torch.manual_seed(0)
given = torch.randn(11, 96)
torch.save([compiled_products(given, [packed_of(MADE[bits](35, 96))]) for bits in MADE], sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("features", "lanes"), [("+avx2,+fma", 8), ("+sse2", 8)])
def test_other_processors_give_the_same_products(features, lanes, tmp_path):
    """With registers of eight lanes, and where no instruction multiplies pairs."""
    here = Path(__file__).parent
    settings = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "SPECLIGHT_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(map(str, (here, here.parent))),
    }
    code = PRODUCTS_ELSEWHERE.format(lanes=lanes, without="avx2" not in features)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "made")], env=os.environ | settings, check=True
    )
    torch.manual_seed(0)
    given = torch.randn(11, 96)
    made = [compiled_products(given, [packed_of(MADE[bits](35, 96))]) for bits in MADE]
    for one, other in zip(made, torch.load(tmp_path / "made"), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=EXACT_ATOL)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("bits", MADE)
def test_products_do_not_depend_on_the_number_of_threads(bits, rows):
    given, weight, before = torch.randn(rows, 96), packed_of(MADE[bits](131, 96)), torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            made.append(compiled_products(given, [weight]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(made[0], one) for one in made[1:])


@pytest.mark.parametrize("steps", [1, 2, 7, 14, 15])
def test_blocks_that_use_few_of_their_codes_are_found(steps):
    weight = of_four_bits(3, 64).reshape(3, 2, BLOCK)
    codes = torch.randint(steps + 1, (3, 2, BLOCK), generator=torch.Generator().manual_seed(1))
    codes[..., 0], codes[..., 1] = 0, steps
    weight = (0.125 * codes - 0.5).reshape(3, 64)
    weight[1, :BLOCK] = 0.75  # all alike
    packed = packed_of(weight)
    assert packed is not None
    assert packed.bits == 4
    assert_read(packed, torch.eye(64)[:32], weight[:, :32])


@pytest.mark.parametrize("place", [(0, 0), (2, 40), (4, 63)])
@pytest.mark.parametrize("value", [0.123, float("nan"), float("inf")])
@pytest.mark.parametrize("bits", MADE)
def test_one_number_that_is_not_of_the_steps_keeps_a_matrix_as_it_is(bits, place, value):
    weight = MADE[bits](5, 64)
    weight[place] += value
    assert packed_of(weight) is None


def test_other_matrices_are_left_alone():
    assert packed_of(torch.randn(4, 64)) is None
    assert packed_of(of_four_bits(4, 64).double()) is None
    assert packed_of(of_four_bits(4, 64)[:, :50].contiguous()) is None


def test_weights_written_to_later_are_no_longer_read_from_their_codes():
    packed = packed_of(of_four_bits(6, 64))
    assert packed is not None
    given = torch.randn(2, 64)
    with torch.no_grad():
        packed[3] = 1.0
    assert not packed.is_packed
    torch.testing.assert_close(compiled_products(given, [packed])[:, 3], given.sum(1), rtol=0, atol=ATOL)


def test_a_shared_matrix_stays_shared():
    """As an embedding that is the output matrix too."""

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.first = torch.nn.Embedding(7, 64), torch.nn.Linear(64, 64, bias=False)
            self.output = torch.nn.Linear(64, 7, bias=False)
            self.table.weight = torch.nn.Parameter(of_eight_bits(7, 64), requires_grad=False)
            self.output.weight = self.table.weight

    model = Tied().requires_grad_(False)
    first = model.first.weight
    use_products(model, compiled_products)
    pack_weights(model)
    assert isinstance(model.output.weight, PackedParameter)
    assert model.output.weight is model.table.weight
    assert model.first.weight is first


def test_weights_in_training_are_left_alone():
    layer = torch.nn.Sequential(torch.nn.Linear(64, 5, bias=False))
    layer.get_submodule("0").get_parameter("weight").data.zero_()  # as a new adapter's
    use_products(layer, compiled_products)
    pack_weights(layer)
    (weight,) = layer.parameters()
    assert not isinstance(weight, PackedParameter)
    assert weight.requires_grad


def test_a_model_of_such_weights_keeps_its_logits():
    model = tiny_llama(9, seed=1).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and weight.shape[1] == BLOCK:
            weight.copy_(0.125 * of_four_bits(*weight.shape, seed=len(name)))
    ids = torch.tensor([[1, 2, 3, 4]])
    expected = model(ids).logits
    assert use_kernels(model, "compiled") == "compiled"
    assert any(isinstance(weight, PackedParameter) for weight in model.parameters())
    torch.testing.assert_close(model(ids).logits, expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("half", [True, False])
def test_rounded_weights_are_off_by_half_a_step_at_most(half):
    torch.manual_seed(0)
    layers = torch.nn.ModuleList([torch.nn.Linear(64, 9, bias=False), torch.nn.Linear(50, 9, bias=False)])
    layers.requires_grad_(False)
    layers.get_submodule("0").get_parameter("weight")[4] = 0.0
    if half:
        layers.bfloat16()
    use_products(layers, compiled_products)
    round_weights(layers)
    weight = layers[0].weight
    assert isinstance(weight, PackedParameter)
    assert weight.dtype == (torch.bfloat16 if half else torch.float32)
    assert not isinstance(layers[1].weight, PackedParameter)
    read = torch.cat(
        [compiled_products(torch.eye(64)[part], [weight]).T for part in (slice(32), slice(32, 64))], 1
    )
    steps = weight.float().unflatten(1, (2, BLOCK)).abs().amax(2, keepdim=True) / 127.0
    off = (read - weight.float()).unflatten(1, (2, BLOCK)).abs()
    assert (off <= 0.5001 * steps).all()
    assert (off > 0.1 * steps).any()
    many = layers[0](torch.eye(64, dtype=torch.float32)[None])[0].T
    torch.testing.assert_close(many, read, rtol=0, atol=0)


@pytest.mark.model
def test_all_matrices_of_the_default_target_are_packed(default_target):
    matrices = [weight for weight in default_target.model.parameters() if weight.dim() == 2]
    assert {type(weight) for weight in matrices} == {PackedParameter}
    assert [weight.bits for weight in matrices].count(4) == len(matrices) - 1
