"""Load a place of an array into the cache ahead of its use, by the processor's own instruction.

Processors foresee the lines of memory that follow each other, but not the next row of a small window in a large array:
a window of 32 voxels along each axis takes half the time if its rows are loaded some rows ahead. Wide rows have nothing
to gain.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gpu_infer.backends.cpu.kernels.jit import helper

Compiler: TypeAlias = Any
"""Types and contexts of Numba and llvmlite, which have no type hints."""

AHEAD = 8
"""Rows."""

STEP = 16
"""Elements between two prefetched places: a line of 64 bytes of float32."""

_WIDE = 64
"""Elements of a row from which on processors foresee enough."""

_READ, _KEEP, _DATA = 0, 3, 1
"""LLVM's arguments of a prefetch."""


def _prefetch(typing_context: Compiler, array: Compiler, index: Compiler) -> tuple[Compiler, Compiler]:
    """In a kernel: load the line of array[index] into the cache. The index may be outside the array."""

    def generate(context: Compiler, builder: Compiler, signature: Compiler, arguments: Compiler) -> Compiler:
        # the compiler, which a run with cached kernels does not load
        from numba.core.cgutils import get_or_insert_function
        from numba.np.arrayobj import make_array

        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        prototype = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = get_or_insert_function(builder.module, prototype, "llvm.prefetch.p0i8")
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [place, number(_READ), number(_KEEP), number(_DATA)])
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch = intrinsic(_prefetch)


@helper
def reach(width: int) -> int:
    """Elements of a row of `width` to prefetch, with a step more for rows that begin within a line; 0 for wide rows."""
    return width + STEP if width <= _WIDE else 0
