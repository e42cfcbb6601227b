"""Pieces of LLVM's code that loops over lanes of registers are written in, for numba's compiler."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

NUMBER, INT = ir.IntType(32), ir.IntType(64)
_PREFETCH = "llvm.prefetch.p0"


def fetch(builder: Any, address: Any, place: Any) -> None:
    """Bring what stands there into the nearest cache. Behind the end of an array that does nothing."""
    there = builder.bitcast(builder.gep(address, [place]), ir.IntType(8).as_pointer())
    to_read, keep, data = (ir.Constant(NUMBER, number) for number in (0, 3, 1))
    called(builder, _PREFETCH, ir.VoidType(), there, to_read, keep, data)


def called(builder: Any, name: str, kind: Any, *arguments: Any) -> Any:
    """One of LLVM's own functions, which gives that kind."""
    known = builder.module.globals.get(name)
    taken = ir.FunctionType(kind, [argument.type for argument in arguments])
    return builder.call(known or ir.Function(builder.module, taken, name), arguments)


def times(builder: Any, one: Any, other: Any) -> Any:
    """The product; one instruction may do it together with a sum."""
    return builder.fmul(one, other, flags=("contract",))


def plus(builder: Any, one: Any, other: Any) -> Any:
    """The sum; one instruction may do it together with a product."""
    return builder.fadd(one, other, flags=("contract",))


def at_place(number: int) -> Any:
    """A whole number of 64 bits, in which places are counted."""
    return ir.Constant(INT, number)
