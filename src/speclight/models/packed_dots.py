"""Products of rows with a tile of coded weights, as instructions for numba's compiler.

Loops over codes of a few bits, written in Python, are hardly vectorised. Here codes are multiplied as the
small whole numbers they are, with rows rounded to whole numbers of 16 bits: one instruction multiplies twice
as many numbers as one of float32, and codes need not be made float32 first. A tile is as many rows of weights
as a register has lanes, each in its own lane, so that nothing is summed across lanes. Within a block sums are
exact, and blocks are added in order: a row's products depend on no other row.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from speclight.models.lane_code import INT, NUMBER, at_place, called, fetch, plus, times

# Weights with one scale and one offset.
BLOCK = 32
# The largest number that a row is rounded to.
MOST = 32767
# A float32 of this size has no room for fractions, and its last bits count whole numbers.
_WHOLE_FROM = 1.5 * 2**23
_WITHOUT_SIGN, _INFINITE = 0x7FFFFFFF, 0x7F800000  # of a float32's bits
_LEAST = 2.0**-126  # whose inverse is finite
# Rows that are multiplied at once, at most.
GROUP = 8
# Blocks that are asked for before they are needed: while it multiplies eight rows, a processor does not look
# far enough ahead by itself.
AHEAD = 8
_settings: Any = config  # filled from the environment when it is imported
# Of the processor that numba compiles for.
_FEATURES = str(_settings.CPU_FEATURES or get_host_cpu_features()).split(",")
# Lanes of a register, and the instruction that multiplies pairs, where there is one; of registers of fewer
# lanes LLVM takes several.
LANES, PAIRS_ADDED = (
    (16, "llvm.x86.avx512.pmaddw.d.512")
    if "+avx512bw" in _FEATURES
    else (8, "llvm.x86.avx2.pmadd.wd" if "+avx2" in _FEATURES else None)
)
# Pairs of weights of one lane, and the words of 16 bits of two lanes' numbers that hold them, in a block.
PAIRS = BLOCK // 2
WORD = 16
_FLOAT, _SHORT = ir.FloatType(), ir.IntType(WORD)
_FLOATS, _NUMBERS = ir.VectorType(_FLOAT, LANES), ir.VectorType(NUMBER, LANES)
_SHORTS = ir.VectorType(_SHORT, 2 * LANES)


def scales_a_block(bits: int) -> int:
    """How many numbers make weights of codes: of 4 bits a block's step and least weight, of 8 its step."""
    return 8 // bits


def words_of(bits: int, blocks: int, outputs: int) -> tuple[int, ...]:
    """The shape of the words that hold a matrix: [tiles, blocks, words, lanes, 2].

    Pairs of weights of a row lie in its lane, one in each of the two words; a word holds the codes of
    as many pairs as it has room for, the first in its lowest bits.
    """
    return -(-outputs // LANES), blocks, PAIRS * bits // WORD, LANES, 2


@intrinsic
def address_of(typing_context: Any, array: Any) -> Any:
    """Where an array's numbers begin."""
    signature = types.CPointer(array.dtype)(array)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return signature, generate


@intrinsic
def round_block(typing_context: Any, rows: Any, numbers: Any, factors: Any, block: Any) -> Any:
    """Write a block's whole numbers of 16 bits, and its factor and sum.

    Of the addresses of all numbers and of what is written, and of the block. Whole numbers times the factor
    are the numbers, half a factor off at most; the sum is the sum of that. A block with an infinity or a NaN
    has a factor that is none, and its products are none; one of numbers below 1e-33 counts as zeros.
    """
    signature = types.void(rows, numbers, factors, block)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        rows, numbers, factors, block = arguments
        begin = builder.mul(block, at_place(BLOCK))
        places = [builder.add(begin, at_place(offset)) for offset in range(0, BLOCK, LANES)]
        parts = [_loaded(builder, rows, place, _FLOATS, 4) for place in places]
        # Without their sign, bits are in the order of the numbers, infinity and NaN above all.
        bits = [builder.and_(builder.bitcast(part, _NUMBERS), _number(_WITHOUT_SIGN)) for part in parts]
        most = _reduced(builder, "smax", bits)
        factor = builder.fdiv(builder.bitcast(most, _FLOAT), ir.Constant(_FLOAT, MOST))
        is_usable = builder.and_(
            builder.icmp_signed("<", most, ir.Constant(NUMBER, _INFINITE)),
            builder.fcmp_ordered(">=", factor, ir.Constant(_FLOAT, _LEAST)),
        )
        inverse = builder.fdiv(ir.Constant(_FLOAT, 1.0), factor)
        inverse = _spread(builder, builder.select(is_usable, inverse, ir.Constant(_FLOAT, 0.0)), _FLOATS)
        whole = [_rounded(builder, builder.fmul(part, inverse)) for part in parts]
        half = ir.VectorType(_SHORT, LANES)
        for place, part in zip(places, whole, strict=True):
            there = builder.bitcast(builder.gep(numbers, [place]), half.as_pointer())
            builder.store(builder.trunc(part, half), there, align=2)
        total = builder.sitofp(_reduced(builder, "add", whole), _FLOAT)
        at = builder.mul(block, at_place(2))
        builder.store(factor, builder.gep(factors, [at]))
        builder.store(builder.fmul(factor, total), builder.gep(factors, [builder.add(at, at_place(1))]))
        return context.get_dummy_value()

    return signature, generate


def _rounded(builder: Any, numbers: Any) -> Any:
    """The nearest whole numbers, in all lanes. Those of infinite blocks, times nothing, are any."""
    large = ir.Constant(_FLOATS, [_WHOLE_FROM] * LANES)
    return builder.sub(
        builder.bitcast(builder.fadd(numbers, large), _NUMBERS), builder.bitcast(large, _NUMBERS)
    )


def _reduced(builder: Any, name: str, parts: list[Any]) -> Any:
    """The largest number (smax) or the sum (add) of all lanes."""
    joined = parts[0]
    for part in parts[1:]:
        joined = (
            builder.add(joined, part)
            if name == "add"
            else builder.select(builder.icmp_signed(">", joined, part), joined, part)
        )
    return called(builder, f"llvm.vector.reduce.{name}.v{LANES}i32", NUMBER, joined)


def packed_dots(bits: int, rows: int) -> Any:
    """The scalar products of `rows` rows with a tile of weights in codes of 4 or 8 bits.

    As numba calls it: of the addresses of the words (`words_of`) and scales [tiles, blocks, scales, lanes] of
    all tiles, the tile, the number of blocks, the addresses of all rows' whole numbers (of as many as blocks
    hold) and of their blocks' factors and sums (`round_block`), the first row, and the last there is, which
    stands in for those behind it; and of the address of the output and the numbers between its rows: a row's
    products are written at its beginning.
    """

    @intrinsic
    def dots(
        typing_context: Any,
        words: Any,
        scales: Any,
        tile: Any,
        blocks: Any,
        numbers: Any,
        factors: Any,
        first: Any,
        last: Any,
        output: Any,
        stride: Any,
    ) -> Any:
        signature = types.void(words, scales, tile, blocks, numbers, factors, first, last, output, stride)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            words, scales, tile, blocks, numbers, factors, first, last, output, stride = arguments
            places = [_at_most(builder, builder.add(first, at_place(row)), last) for row in range(rows)]
            weights = _Tile(builder, bits, words, scales, builder.mul(tile, blocks))
            read = [_Row(builder, numbers, factors, builder.mul(place, blocks)) for place in places]
            sums = _loop(builder, weights, blocks, read)
            for place, total in zip(places, sums, strict=True):
                there = builder.gep(output, [builder.mul(place, stride)])
                builder.store(total, builder.bitcast(there, _FLOATS.as_pointer()), align=4)
            return context.get_dummy_value()

        return signature, generate

    return dots


class _Tile:
    """The weights of a tile. words, scales: of all tiles; before: blocks of the tiles before it."""

    def __init__(self, builder: Any, bits: int, words: Any, scales: Any, before: Any) -> None:
        self._builder, self._bits = builder, bits
        self._words_a_block, self._scales_a_block = PAIRS * bits // WORD, scales_a_block(bits)
        self._words = builder.gep(words, [self._words_of(before)])
        self._scales = builder.gep(scales, [self._scales_of(before)])

    def _words_of(self, blocks: Any) -> Any:
        return self._builder.mul(blocks, at_place(self._words_a_block * 2 * LANES))

    def _scales_of(self, blocks: Any) -> Any:
        return self._builder.mul(blocks, at_place(self._scales_a_block * LANES))

    def pairs(self, block: Any) -> list[Any]:
        """Of each pair of weights in a block the codes in all lanes, as numbers of 16 bits."""
        builder, bits, found = self._builder, self._bits, []
        begin = self._words_of(block)
        for number in range(self._words_a_block):
            place = builder.add(begin, at_place(number * 2 * LANES))
            word = _loaded(builder, self._words, place, _SHORTS, 2)
            fetch(builder, self._words, builder.add(place, self._words_of(at_place(AHEAD))))
            for shift in range(0, WORD, bits):
                up = builder.shl(word, _short(WORD - bits - shift))
                down = builder.lshr if bits == 4 else builder.ashr  # codes of 8 bits have a sign
                found.append(down(up, _short(WORD - bits)))
        return found

    def scales(self, block: Any) -> list[Any]:
        """The steps in all lanes and, of 4 bits, the least weights."""
        builder, begin = self._builder, self._scales_of(block)
        places = [builder.add(begin, at_place(number * LANES)) for number in range(self._scales_a_block)]
        for place in places:
            fetch(builder, self._scales, builder.add(place, self._scales_of(at_place(AHEAD))))
        return [_loaded(builder, self._scales, place, _FLOATS, 4) for place in places]


class _Row:
    """A row's whole numbers, factors and sums. numbers, factors: of all; before: blocks of those before."""

    def __init__(self, builder: Any, numbers: Any, factors: Any, before: Any) -> None:
        self._builder = builder
        own = builder.gep(numbers, [builder.mul(before, at_place(BLOCK))])
        self._pairs = builder.bitcast(own, NUMBER.as_pointer())
        self._factors = builder.gep(factors, [builder.mul(before, at_place(2))])

    def pair(self, block: Any, number: int) -> Any:
        """A pair of numbers in all lanes."""
        builder = self._builder
        place = builder.add(builder.mul(block, at_place(PAIRS)), at_place(number))
        pair = builder.load(builder.gep(self._pairs, [place]), align=4)
        return builder.bitcast(_spread(builder, pair, _NUMBERS), _SHORTS)

    def factor_and_sum(self, block: Any) -> list[Any]:
        """What the block's numbers are multiples of, and its sum, in all lanes."""
        builder, begin = self._builder, self._builder.mul(block, at_place(2))
        places = (begin, builder.add(begin, at_place(1)))
        return [
            _spread(builder, builder.load(builder.gep(self._factors, [place])), _FLOATS) for place in places
        ]


def _loop(builder: Any, weights: _Tile, blocks: Any, rows: list[_Row]) -> list[Any]:
    """Of each row its products in all lanes."""
    before, loop = builder.block, builder.append_basic_block("blocks")
    behind = builder.append_basic_block("products")
    builder.branch(loop)
    builder.position_at_end(loop)
    block = builder.phi(INT)
    block.add_incoming(at_place(0), before)
    sums = [builder.phi(_FLOATS) for _ in rows]
    totals = _totals(builder, weights.pairs(block), block, rows)
    step, *least = weights.scales(block)
    for row, own, total in zip(rows, sums, totals, strict=True):
        factor, sum_of_row = row.factor_and_sum(block)
        new = plus(builder, times(builder, times(builder, total, step), factor), own)
        for offset in least:
            new = plus(builder, times(builder, offset, sum_of_row), new)
        own.add_incoming(ir.Constant(_FLOATS, [0.0] * LANES), before)
        own.add_incoming(new, loop)
    following = builder.add(block, at_place(1))
    block.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, blocks), loop, behind)
    builder.position_at_end(behind)
    return [own.incomings[1][0] for own in sums]


def _totals(builder: Any, pairs: list[Any], block: Any, rows: list[_Row]) -> list[Any]:
    """Of each row the products of its whole numbers with the codes, summed over a block."""
    # Of few rows several sums each: one would wait for itself.
    parts = 4 // len(rows) or 1
    sums = [[ir.Constant(_NUMBERS, [0] * LANES)] * parts for _ in rows]
    for number, pair in enumerate(pairs):
        for row, own in zip(rows, sums, strict=True):
            added = _pairs_added(builder, pair, row.pair(block, number))
            own[number % parts] = builder.add(own[number % parts], added)
    return [builder.sitofp(_joined(builder, own), _FLOATS) for own in sums]


def _pairs_added(builder: Any, one: Any, other: Any) -> Any:
    """The products of two numbers of 16 bits each, two of them added in each lane."""
    if PAIRS_ADDED is None:
        first, second = (
            builder.mul(*(_every_other(builder, vector, start) for vector in (one, other)))
            for start in range(2)
        )
        return builder.add(first, second)
    return called(builder, PAIRS_ADDED, _NUMBERS, one, other)


def _every_other(builder: Any, vector: Any, start: int) -> Any:
    places = ir.Constant(_NUMBERS, [2 * lane + start for lane in range(LANES)])
    half = builder.shuffle_vector(vector, ir.Constant(_SHORTS, ir.Undefined), places)
    return builder.sext(half, _NUMBERS)


def _loaded(builder: Any, address: Any, place: Any, kind: Any, alignment: int) -> Any:
    there = builder.bitcast(builder.gep(address, [place]), kind.as_pointer())
    return builder.load(there, align=alignment)


def _spread(builder: Any, number: Any, kind: Any) -> Any:
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(NUMBER, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_NUMBERS, [0] * LANES))


def _at_most(builder: Any, place: Any, last: Any) -> Any:
    return builder.select(builder.icmp_signed("<", place, last), place, last)


def _joined(builder: Any, parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = builder.add(total, part)
    return total


def _number(number: int) -> Any:
    return ir.Constant(_NUMBERS, [number] * LANES)


def _short(number: int) -> Any:
    return ir.Constant(_SHORTS, [number] * 2 * LANES)
