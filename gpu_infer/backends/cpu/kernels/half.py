"""float16 in kernels. Numba has no such type on the CPU: its bits travel as uint16, and are converted by LLVM's own
conversions, which are one instruction where the processor has it (F16C, AVX-512, Arm).

Rounding is to nearest even; what float16 cannot hold becomes infinite, NaN stays NaN. Kernels that use these take
float32 or float16 only, so a uint16 among their operands is always float16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray


@intrinsic  # type: ignore[untyped-decorator]
def carried(typing_context: Any, value: Any, like: Any) -> Any:
    """In a kernel: float32 or float16 bits `value` as what the elements of the array `like` are."""
    target = like.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = arguments[0]
        if value == target:
            return number
        if target == types.uint16:
            return builder.bitcast(builder.fptrunc(number, ir.HalfType()), ir.IntType(16))
        return builder.fpext(builder.bitcast(number, ir.HalfType()), ir.FloatType())

    return target(value, like), generate


def is_half(dtype: np.dtype[Any]) -> bool:
    """float16 of either byte order."""
    return dtype.kind == "f" and dtype.itemsize == 2


def as_bits(array: NDArray[Any]) -> NDArray[Any]:
    """float16 seen as uint16, anything else as it is."""
    return array.view(np.uint16) if array.dtype == np.float16 else array
