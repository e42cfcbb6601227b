"""Attention of eight query rows at once, as instructions for numba's compiler.

Each row has a lane of its own, so that nothing is summed across lanes: a number of a key or a value is
multiplied with all eight rows by one instruction. Numbers of rows stand side by side: [..., ROWS].
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from speclight.models.compiled_attention import PART, SLOTS
from speclight.models.lane_code import INT, NUMBER, at_place, called, fetch, plus, times

ROWS = 8
# Blocks of keys, and slots of values, that are asked for before they are needed.
BLOCKS_AHEAD, SLOTS_AHEAD = 2, 16
_FLOAT = ir.FloatType()
_FLOATS, _NUMBERS = ir.VectorType(_FLOAT, ROWS), ir.VectorType(NUMBER, ROWS)
# ln 2 in two parts, the first of few bits, so that multiples of it are exact.
_LN2_HIGH = 0.693359375
_LN2_LOW = math.log(2.0) - _LN2_HIGH
# Where e to a number is no normal float32 any more.
_LEAST = -87.0
_POWERS = 7  # terms of the series of e to a number of at most half of ln 2
_EXPONENT_AT, _EXPONENT_OF_ONE = 23, 127


@intrinsic
def score_slots(typing_context: Any, queries: Any, keys: Any, size: Any, scores: Any) -> Any:
    """Write the scalar products of SLOTS keys, one behind the other, with all queries, [SLOTS, ROWS].

    By addresses: queries [size, ROWS], keys [SLOTS, size].
    """
    signature = types.void(queries, keys, size, scores)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        queries, keys, size, scores = arguments

        def add(place: Any, sums: list[Any]) -> list[Any]:
            # Over all places the next AHEAD blocks' numbers are asked for in turn.
            ahead = builder.mul(size, at_place(SLOTS * BLOCKS_AHEAD))
            fetch(builder, keys, builder.add(ahead, builder.mul(place, at_place(SLOTS))))
            query = _loaded(builder, queries, place)
            places = [builder.add(builder.mul(at_place(slot), size), place) for slot in range(SLOTS)]
            return _added(builder, query, [builder.gep(keys, [one]) for one in places], sums)

        for slot, total in enumerate(_loop(builder, size, add, _zeros(SLOTS))):
            _store(builder, total, scores, at_place(slot))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def weigh_slots(typing_context: Any, scores: Any, slots: Any, sums: Any) -> Any:
    """Turn scores [slots, ROWS], by address, into weights, 1 for a row's best; write their sums [ROWS]."""
    signature = types.void(scores, slots, sums)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        scores, slots, sums = arguments

        def compare(place: Any, best: list[Any]) -> list[Any]:
            return [_larger(builder, _loaded(builder, scores, place), best[0])]

        (best,) = _loop(builder, slots, compare, [_splat(-math.inf)])

        def weigh(place: Any, totals: list[Any]) -> list[Any]:
            weight = _exp(builder, builder.fsub(_loaded(builder, scores, place), best))
            _store(builder, weight, scores, place)
            return [builder.fadd(totals[0], weight)]

        (total,) = _loop(builder, slots, weigh, _zeros(1))
        _store(builder, total, sums, at_place(0))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def mix_values(
    typing_context: Any, weights: Any, values: Any, size: Any, slots: Any, sums: Any, mix: Any
) -> Any:
    """Write PART numbers of the values' mean under the weights, [PART, ROWS].

    By addresses: weights [slots, ROWS] and their sums [ROWS]; values: of the first slot the first of those
    numbers, which the next slot's follow `size` numbers later.
    """
    signature = types.void(weights, values, size, slots, sums, mix)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        weights, values, size, slots, sums, mix = arguments

        def add(place: Any, totals: list[Any]) -> list[Any]:
            begin = builder.mul(place, size)
            fetch(builder, values, builder.add(begin, builder.mul(size, at_place(SLOTS_AHEAD))))
            places = [builder.add(begin, at_place(offset)) for offset in range(PART)]
            weight = _loaded(builder, weights, place)
            return _added(builder, weight, [builder.gep(values, [one]) for one in places], totals)

        totals = _loop(builder, slots, add, _zeros(PART))
        inverse = builder.fdiv(_splat(1.0), _loaded(builder, sums, at_place(0)))
        for offset, total in enumerate(totals):
            _store(builder, builder.fmul(total, inverse), mix, at_place(offset))
        return context.get_dummy_value()

    return signature, generate


def _added(builder: Any, rows: Any, addresses: list[Any], sums: list[Any]) -> list[Any]:
    """Each sum with the number at its address times all rows added."""
    return [
        plus(builder, times(builder, _spread(builder, builder.load(address, align=4)), rows), total)
        for address, total in zip(addresses, sums, strict=True)
    ]


def _loop(builder: Any, count: Any, step: Any, start: list[Any]) -> list[Any]:
    """What step(place, values) makes of the values from 0 to count, which is at least 1."""
    before, loop = builder.block, builder.append_basic_block("loop")
    behind = builder.append_basic_block("behind")
    builder.branch(loop)
    builder.position_at_end(loop)
    place = builder.phi(INT)
    place.add_incoming(at_place(0), before)
    values = [builder.phi(value.type) for value in start]
    found = step(place, list(values))
    for value, first, new in zip(values, start, found, strict=True):
        value.add_incoming(first, before)
        value.add_incoming(new, loop)
    following = builder.add(place, at_place(1))
    place.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, behind)
    builder.position_at_end(behind)
    return found


def _exp(builder: Any, exponents: Any) -> Any:
    """The exponentials of numbers <= 0, in all lanes; a NaN stays one."""
    within = _larger(builder, exponents, _splat(_LEAST))
    scaled = builder.fadd(builder.fmul(within, _splat(1.0 / math.log(2.0))), _splat(0.5))
    twos = called(builder, f"llvm.floor.v{ROWS}f32", _FLOATS, scaled)
    high = builder.fsub(within, builder.fmul(twos, _splat(_LN2_HIGH)))
    rest = builder.fsub(high, builder.fmul(twos, _splat(_LN2_LOW)))
    series = _splat(1.0 / math.factorial(_POWERS))
    for power in reversed(range(_POWERS)):
        series = plus(builder, times(builder, series, rest), _splat(1.0 / math.factorial(power)))
    exponent = builder.add(builder.fptosi(twos, _NUMBERS), _numbers(_EXPONENT_OF_ONE))
    power_of_two = builder.bitcast(builder.shl(exponent, _numbers(_EXPONENT_AT)), _FLOATS)
    found = builder.fmul(series, power_of_two)
    is_small = builder.fcmp_ordered("<", exponents, _splat(_LEAST))
    return builder.select(is_small, _splat(0.0), found)


def _larger(builder: Any, one: Any, other: Any) -> Any:
    """In every lane; `one` where it is a NaN."""
    return builder.select(builder.fcmp_unordered(">", one, other), one, other)


def _loaded(builder: Any, address: Any, place: Any) -> Any:
    return builder.load(_row(builder, address, place), align=4)


def _store(builder: Any, numbers: Any, address: Any, place: Any) -> None:
    builder.store(numbers, _row(builder, address, place), align=4)


def _row(builder: Any, address: Any, place: Any) -> Any:
    there = builder.gep(address, [builder.mul(place, at_place(ROWS))])
    return builder.bitcast(there, _FLOATS.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    nothing = ir.Constant(_FLOATS, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(NUMBER, 0))
    return builder.shuffle_vector(one, nothing, _numbers(0))


def _zeros(count: int) -> list[Any]:
    return [_splat(0.0)] * count


def _splat(number: float) -> Any:
    return ir.Constant(_FLOATS, [number] * ROWS)


def _numbers(number: int) -> Any:
    return ir.Constant(_NUMBERS, [number] * ROWS)
