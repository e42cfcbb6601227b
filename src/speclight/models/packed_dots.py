"""Products of rows with two rows of coded weights, as instructions for numba's compiler.

Loops over codes of a few bits, written in Python, are hardly vectorised. Here blocks of codes are unpacked in
registers, where each becomes the very float32 weight it stands for, and multiplied with up to eight rows. Two
rows of weights at a time: what was loaded of the other operand serves both.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

# Weights with one scale and one offset.
BLOCK = 32
# Rows of weights at a time.
COLUMNS = 2
_WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
# Numbers in a register: those of AVX-512 or of AVX2; of smaller ones LLVM takes several.
LANES = 16 if _WIDE else 8
_FLOAT, _BYTE, _INT = ir.FloatType(), ir.IntType(8), ir.IntType(64)
_FLOATS, _BYTES = ir.VectorType(_FLOAT, LANES), ir.VectorType(_BYTE, LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)


@intrinsic
def address_of(typing_context: Any, array: Any) -> Any:
    """Where an array's numbers begin."""
    signature = types.CPointer(array.dtype)(array)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return signature, generate


def packed_dots(bits: int, rows: int) -> Any:
    """The scalar products of `rows` rows with two rows of weights in codes of 4 or 8 bits.

    As numba calls it: of the addresses of the codes (of 4 bits: a block's first half in the low ones) and of
    the scales (of 4 bits: of each block the step and the least weight, of 8 the step) of all weights, the two
    rows of weights, the number of blocks, the address of all rows (of as many numbers as blocks hold), the
    first row, and the last there is, which stands in for those behind it; and of the address of the output
    and the numbers between its rows: products are written at [row, row of weights].
    """

    @intrinsic
    def dots(
        typing_context: Any,
        codes: Any,
        scales: Any,
        column: Any,
        next_column: Any,
        blocks: Any,
        all_rows: Any,
        first: Any,
        last: Any,
        output: Any,
        stride: Any,
    ) -> Any:
        signature = types.void(
            codes, scales, column, next_column, blocks, all_rows, first, last, output, stride
        )

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            codes, scales, *columns, blocks, all_rows, first, last, output, stride = arguments
            places = [_at_most(builder, builder.add(first, _whole(row)), last) for row in range(rows)]
            width = builder.mul(blocks, _whole(BLOCK))
            begins = [builder.mul(place, width) for place in places]
            weights = [_Coded(builder, bits, codes, scales, column, blocks) for column in columns]
            sums = _loop(builder, weights, blocks, all_rows, begins)
            for column, own in zip(columns, sums, strict=True):
                for place, total in zip(places, _totals(builder, own), strict=True):
                    there = builder.add(builder.mul(place, stride), column)
                    builder.store(total, builder.gep(output, [there]))
            return context.get_dummy_value()

        return signature, generate

    return dots


class _Coded:
    """A row of weights. codes, scales: of all rows; column: which it is."""

    def __init__(self, builder: Any, bits: int, codes: Any, scales: Any, column: Any, blocks: Any) -> None:
        self._builder, self._bits = builder, bits
        before = builder.mul(column, blocks)
        self._codes = builder.gep(codes, [builder.mul(before, _whole(BLOCK * bits // 8))])
        self._scales = builder.gep(scales, [builder.mul(before, _whole(8 // bits))])

    def factors(self, block: Any) -> list[Any]:
        """The weights of a block, LANES at a time."""
        builder = self._builder
        if self._bits == 8:
            step = _spread(builder, builder.load(builder.gep(self._scales, [block])))
            return [
                _times(builder, builder.sitofp(builder.sext(one, _INTS), _FLOATS), step)
                for one in _bytes(builder, self._codes, builder.mul(block, _whole(BLOCK)), BLOCK)
            ]
        place = builder.mul(block, _whole(2))
        step = _spread(builder, builder.load(builder.gep(self._scales, [place])))
        least = _spread(builder, builder.load(builder.gep(self._scales, [builder.add(place, _whole(1))])))
        pairs = _bytes(builder, self._codes, builder.mul(block, _whole(BLOCK // 2)), BLOCK // 2)
        low = [builder.and_(one, ir.Constant(_BYTES, [15] * LANES)) for one in pairs]
        high = [builder.lshr(one, ir.Constant(_BYTES, [4] * LANES)) for one in pairs]
        return [
            _plus(builder, _times(builder, builder.uitofp(builder.zext(one, _INTS), _FLOATS), step), least)
            for one in (*low, *high)
        ]


def _loop(builder: Any, weights: list[_Coded], blocks: Any, all_rows: Any, begins: list[Any]) -> Any:
    """Of each row of weights and each row LANES sums."""
    # Of few rows several sums each: one would wait for itself.
    parts = 2 if len(begins) <= 2 else 1
    before, loop = builder.block, builder.append_basic_block("blocks")
    behind = builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    block = builder.phi(_INT)
    block.add_incoming(_whole(0), before)
    sums = [[[builder.phi(_FLOATS) for _ in range(parts)] for _ in begins] for _ in weights]
    new = [[list(parts) for parts in own] for own in sums]
    factors = [weight.factors(block) for weight in weights]
    offset = builder.mul(block, _whole(BLOCK))
    for row, begin in enumerate(begins):
        here = builder.add(begin, offset)
        for number in range(BLOCK // LANES):
            read = _loaded(builder, all_rows, builder.add(here, _whole(number * LANES)), _FLOATS, 4)
            part = number % parts
            for own, added in zip(factors, new, strict=True):
                added[row][part] = _plus(builder, _times(builder, own[number], read), added[row][part])
    following = builder.add(block, _whole(1))
    block.add_incoming(following, loop)
    for own, added in zip(sums, new, strict=True):
        for one, more in zip(chain(*own), chain(*added), strict=True):
            one.add_incoming(ir.Constant(_FLOATS, [0.0] * LANES), before)
            one.add_incoming(more, loop)
    builder.cbranch(builder.icmp_signed("<", following, blocks), loop, behind)
    builder.position_at_end(behind)
    return [[_joined(builder, parts) for parts in added] for added in new]


def _bytes(builder: Any, codes: Any, begin: Any, count: int) -> list[Any]:
    places = [builder.add(begin, _whole(offset)) for offset in range(0, count, LANES)]
    return [_loaded(builder, codes, place, _BYTES, 1) for place in places]


def _loaded(builder: Any, address: Any, place: Any, kind: Any, alignment: int) -> Any:
    there = builder.bitcast(builder.gep(address, [place]), kind.as_pointer())
    return builder.load(there, align=alignment)


def _spread(builder: Any, number: Any) -> Any:
    nothing = ir.Constant(_FLOATS, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_INTS, [0] * LANES))


def _at_most(builder: Any, place: Any, last: Any) -> Any:
    return builder.select(builder.icmp_signed("<", place, last), place, last)


def _joined(builder: Any, parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = _plus(builder, total, part)
    return total


def _totals(builder: Any, vectors: list[Any]) -> list[Any]:
    """The sum over the lanes of each vector; pairs are folded into one vector, until one holds all sums."""
    length, count = LANES, len(vectors)  # length: of the lanes side by side that belong to one vector
    while len(vectors) & (len(vectors) - 1):
        vectors = [*vectors, vectors[-1]]  # pairs want a power of two
    while len(vectors) > 1:
        vectors = [_folded(builder, *pair, length) for pair in zip(vectors[::2], vectors[1::2], strict=True)]
        length //= 2
    (vector,) = vectors
    while length > 1:
        vector = _folded(builder, vector, None, length)
        length //= 2
    return [builder.extract_element(vector, _lane(lane)) for lane in range(count)]


def _folded(builder: Any, one: Any, other: Any | None, length: int) -> Any:
    """Each `length` lanes of both vectors made half as many, by adding their halves; those of `one` first."""
    lanes = one.type.count * (1 if other is None else 2)
    low = [begin + lane for begin in range(0, lanes, length) for lane in range(length // 2)]
    masks = ([lane + half for lane in low] for half in (0, length // 2))
    other = ir.Constant(one.type, ir.Undefined) if other is None else other
    kind = ir.VectorType(ir.IntType(32), len(low))
    halves = (builder.shuffle_vector(one, other, ir.Constant(kind, mask)) for mask in masks)
    return _plus(builder, *halves)


# One instruction may do both; sums stay in the order written, which is then the same in both rows of weights.
def _times(builder: Any, one: Any, other: Any) -> Any:
    return builder.fmul(one, other, flags=("contract",))


def _plus(builder: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other, flags=("contract",))


def _whole(number: int) -> Any:
    return ir.Constant(_INT, number)


def _lane(number: int) -> Any:
    return ir.Constant(ir.IntType(32), number)
