"""Scalar products of rows with a row of coded weights, as instructions for numba's compiler.

Loops over codes of a few bits, written in Python, are hardly vectorised. Here a block's codes are unpacked in
registers, where each becomes the very float32 weight it stands for, and multiplied with up to eight rows.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Weights with one scale and one offset.
BLOCK = 32
# Numbers in a register: those of AVX2; LLVM takes two of smaller ones.
LANES = 8
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
    """The scalar products of `rows` rows with one row of weights in codes of 4 or 8 bits.

    As numba calls it: of the address of the codes (of 4 bits: a block's first half in the low ones), of the
    scales (of 4 bits: of each block the step and the least weight, of 8 the step), the number of blocks, the
    address of all rows (of as many numbers as blocks hold), the first row, and the last there is, which
    stands in for those behind it. Gives a tuple of `rows` float32.
    """

    @intrinsic
    def dots(
        typing_context: Any,
        codes: Any,
        scales: Any,
        blocks: Any,
        all_rows: Any,
        first: Any,
        last: Any,
    ) -> Any:
        signature = types.UniTuple(types.float32, rows)(codes, scales, blocks, all_rows, first, last)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            sums = _loop(builder, bits, rows, *arguments)
            return context.make_tuple(builder, signature.return_type, sums)

        return signature, generate

    return dots


def _loop(
    builder: Any,
    bits: int,
    rows: int,
    codes: Any,
    scales: Any,
    blocks: Any,
    all_rows: Any,
    first: Any,
    last: Any,
) -> list[Any]:
    # Of few rows several sums each: one would wait for itself.
    parts = {1: 4, 2: 4, 4: 2, 8: 1}[rows]
    width = builder.mul(blocks, _whole(BLOCK))
    begins: list[Any] = []
    for row in range(rows):
        place = builder.add(first, _whole(row))
        place = builder.select(builder.icmp_signed("<", place, last), place, last)
        begins.append(builder.mul(place, width))
    before, loop = builder.block, builder.append_basic_block("blocks")
    behind = builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    block = builder.phi(_INT)
    block.add_incoming(_whole(0), before)
    sums = [[builder.phi(_FLOATS) for _ in range(parts)] for _ in range(rows)]
    new = [list(own) for own in sums]
    factors = _factors(builder, bits, codes, scales, block)
    offset = builder.mul(block, _whole(BLOCK))
    for row, begin in enumerate(begins):
        here = builder.add(begin, offset)
        for number, factor in enumerate(factors):
            read = _loaded(builder, all_rows, builder.add(here, _whole(number * LANES)), _FLOATS, 4)
            part = number % parts
            new[row][part] = _plus(builder, _times(builder, factor, read), new[row][part])
    following = builder.add(block, _whole(1))
    block.add_incoming(following, loop)
    for own, added in zip(sums, new, strict=True):
        for one, more in zip(own, added, strict=True):
            one.add_incoming(ir.Constant(_FLOATS, [0.0] * LANES), before)
            one.add_incoming(more, loop)
    builder.cbranch(builder.icmp_signed("<", following, blocks), loop, behind)
    builder.position_at_end(behind)
    return [_total(builder, own) for own in new]


def _factors(builder: Any, bits: int, codes: Any, scales: Any, block: Any) -> list[Any]:
    """The weights of a block, LANES at a time."""
    if bits == 8:
        step = _spread(builder, builder.load(builder.gep(scales, [block])))
        begin = builder.mul(block, _whole(BLOCK))
        return [
            _times(builder, builder.sitofp(builder.sext(one, _INTS), _FLOATS), step)
            for one in _bytes(builder, codes, begin, BLOCK)
        ]
    place = builder.mul(block, _whole(2))
    step = _spread(builder, builder.load(builder.gep(scales, [place])))
    least = _spread(builder, builder.load(builder.gep(scales, [builder.add(place, _whole(1))])))
    pairs = _bytes(builder, codes, builder.mul(block, _whole(BLOCK // 2)), BLOCK // 2)
    low = [builder.and_(one, ir.Constant(_BYTES, [15] * LANES)) for one in pairs]
    high = [builder.lshr(one, ir.Constant(_BYTES, [4] * LANES)) for one in pairs]
    return [
        _plus(builder, _times(builder, builder.uitofp(builder.zext(one, _INTS), _FLOATS), step), least)
        for one in (*low, *high)
    ]


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


def _total(builder: Any, parts: list[Any]) -> Any:
    joined = parts[0]
    for part in parts[1:]:
        joined = _plus(builder, joined, part)
    numbers = [builder.extract_element(joined, ir.Constant(ir.IntType(32), lane)) for lane in range(LANES)]
    total = numbers[0]
    for number in numbers[1:]:
        total = _plus(builder, total, number)
    return total


def _times(builder: Any, one: Any, other: Any) -> Any:
    return builder.fmul(one, other, flags=("fast",))


def _plus(builder: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other, flags=("fast",))


def _whole(number: int) -> Any:
    return ir.Constant(_INT, number)
