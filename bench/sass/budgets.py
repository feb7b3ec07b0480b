"""Instructions that each hot loop, and the code around the loops, may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.sass.hot_loops import HotLoop, cost
from bench.sass.kernel_code import KernelCode
from bench.sass.loops import straight_path

TOLERANCE = 1.2
"""More than this times its budget is a regression."""


def count_instructions(loops: Iterable[HotLoop], codes: Mapping[str, KernelCode]) -> dict[str, float]:
    """Instructions per item of each loop, and of its kernel's straight code per thread."""
    unique_loops = list(loops)
    numbers = {str(loop): round(cost(loop, codes[loop.kernel]).instructions, 2) for loop in unique_loops}
    for kernel in {loop.kernel for loop in unique_loops}:
        numbers[f"{kernel}: straight"] = len(straight_path(codes[kernel].code))
    return dict(sorted(numbers.items()))


def largest(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Per name the largest number."""
    merged: dict[str, float] = {}
    for table in tables:
        for name, number in table.items():
            merged[name] = max(number, merged.get(name, 0.0))
    return merged
