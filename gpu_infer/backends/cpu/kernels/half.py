"""float16 in kernels. Numba has no such type on the CPU: kernels see its bits as uint16, and convert them by LLVM's own
conversions, which are one instruction if the processor has it (F16C, AVX-512, Arm).

Rounding is to nearest even; what float16 cannot hold becomes infinite, NaN stays NaN. Kernels that use these functions
take float32 or float16 only, so a uint16 among their operands is always float16.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gpu_infer.backends.types import HostArray

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


def is_half(dtype: np.dtype[Any]) -> bool:
    """float16 of either byte order."""
    return dtype.kind == "f" and dtype.itemsize == 2


def as_bits(array: HostArray) -> HostArray:
    """float16 seen as uint16, any other dtype unchanged."""
    return array.view(np.uint16) if array.dtype == np.float16 else array
