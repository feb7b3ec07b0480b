"""float16 in kernels. Numba has no such type on the CPU: kernels see its bits as uint16, and convert them by LLVM's own
conversions, which are one instruction if the processor has it (F16C, AVX-512, Arm).

Rounding is to nearest even; what float16 cannot hold becomes infinite, NaN stays NaN. Kernels that write with
`converted` write float32 or float16 only, so a uint16 output is always float16. Kernels that read with `single` or
`double` take a flag: a uint16 input is float16 or a number of 16 bits.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Compiler: TypeAlias = Any
"""Types and contexts of Numba and llvmlite, which have no type hints."""


def _converted(typing_context: Compiler, value: Compiler, like: Compiler) -> tuple[Compiler, Compiler]:
    """In a kernel: float32 or float16 bits `value` in the type that the elements of the array `like` have."""
    target = like.dtype

    def generate(context: Compiler, builder: Compiler, signature: Compiler, arguments: Compiler) -> Compiler:
        number = arguments[0]
        if value == target:
            return number
        if target == types.uint16:
            return builder.bitcast(builder.fptrunc(number, ir.HalfType()), ir.IntType(16))
        return builder.fpext(builder.bitcast(number, ir.HalfType()), ir.FloatType())

    return target(value, like), generate


converted = intrinsic(_converted)


def _reader(target: Compiler, name: str) -> Compiler:
    def read(typing_context: Compiler, value: Compiler, half: Compiler) -> tuple[Compiler, Compiler]:
        def generate(context: Compiler, builder: Compiler, signature: Compiler, arguments: Compiler) -> Compiler:
            number, flag = arguments
            plain = context.cast(builder, number, value, target)
            if value != types.uint16:
                return plain
            widened = builder.fpext(builder.bitcast(number, ir.HalfType()), ir.FloatType())
            return builder.select(flag, context.cast(builder, widened, types.float32, target), plain)

        return target(value, half), generate

    read.__name__ = name
    return intrinsic(read)


single = _reader(types.float32, "single")
"""In a kernel: `single(value, half)` is float32 of a number of any dtype, or of the bits of a float16."""

double = _reader(types.float64, "double")
"""The same in float64."""
