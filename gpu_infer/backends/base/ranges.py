"""The range of an array, and its percentiles."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.types import Array, Extrema, TwinArray

_DIGITS = {2: (16, 5, 0), 4: (32, 21, 10, 0)}
"""By bytes of a number: the bits of its key between which digits are, from the highest digit on."""


class RangeOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def extrema(self, array: Array) -> Extrema:
        """The least and the greatest number of [C, X, Y, Z] in float32, and whether there is a NaN. Not asynchronous.

        Args:
            array: Any dtype that `resample` reads, any strides.

        Raises:
            ValueError: If the array is not [C, X, Y, Z] of real numbers.
        """
        if array.ndim != 4 or not dtypes.is_real(array.dtype):
            raise ValueError(f"extrema are those of real [C, X, Y, Z] of up to 8 bytes, found {_found(array)}")
        return self._extrema(array) if array.size else Extrema(math.inf, -math.inf, False)

    def percentiles(self, array: Array, percents: Sequence[float]) -> tuple[float, ...]:
        """`numpy.percentile(array, percents)` in float64, with its linear interpolation. Not asynchronous.

        The numbers of the ranks on both sides are exact: each digit of their keys is counted in a pass over the
        voxels, two passes for float16, three or more for float32. No copy of the array is made.

        Args:
            array: [C, X, Y, Z] float32 or float16, any strides, not empty.
            percents: 0 to 100.

        Returns:
            One number per percent; all NaN if a voxel is NaN or infinite.

        Raises:
            ValueError: If the array or a percent is another one.
        """
        if array.ndim != 4 or array.dtype not in dtypes.MODEL or not array.size:
            raise ValueError(f"percentiles are those of float32 and float16 [C, X, Y, Z], found {_found(array)}")
        if not all(0 <= percent <= 100 for percent in percents):
            raise ValueError(f"percents must be in 0 … 100, found {list(percents)}")
        places = [(array.size - 1) * (percent / 100) for percent in percents]
        ranks = {rank for place in places for rank in (math.floor(place), math.ceil(place))}
        numbers = self._numbers_of(array, sorted(ranks))
        if numbers is None:
            return (math.nan,) * len(places)
        return tuple(
            _between(numbers[math.floor(place)], numbers[math.ceil(place)], place - math.floor(place))
            for place in places
        )

    def _numbers_of(self, array: Array, ranks: Sequence[int]) -> dict[int, float] | None:
        """The numbers that have these ranks, from 0 on, in the sorted array; None if a voxel is NaN or infinite."""
        prefixes = {rank: (0, rank) for rank in ranks}  # its key so far, and the rank among the keys that begin so
        for end, shift in pairwise(_DIGITS[array.dtype.itemsize]):
            tables = {
                prefix: self._count_digits(array, shift, end - shift, prefix)
                for prefix in {prefix for prefix, _ in prefixes.values()}
            }
            if end == 8 * array.dtype.itemsize:  # the first digit has the whole exponent
                low, high = (_key(array, limit) >> shift for limit in (-math.inf, math.inf))
                counts = tables[0]
                if counts[: low + 1].any() or counts[high:].any():
                    return None
            for rank, (prefix, within) in prefixes.items():
                upto = np.cumsum(tables[prefix])
                digit = int(np.searchsorted(upto, within, side="right"))
                before = int(upto[digit - 1]) if digit else 0
                prefixes[rank] = (prefix << (end - shift) | digit, within - before)
        return {rank: _number(array, key) for rank, (key, _) in prefixes.items()}

    @abstractmethod
    def _extrema(self, array: TwinArray) -> Extrema:
        """`extrema` of an array that is not empty; a first number above the second if there is none."""

    @abstractmethod
    def _count_digits(self, array: TwinArray, shift: int, bits: int, prefix: int) -> NDArray[np.int64]:
        """int64 [2 ** bits] on the host: the digits of `bits` bits at `shift` of those keys that begin with `prefix`.

        The key of a number has its bits, all inverted if it is negative, else the sign bit set. `prefix` are the bits
        above the digit.
        """


def _key(array: Array, number: float) -> int:
    bits = 8 * array.dtype.itemsize
    stored = int(np.array(number, array.dtype).view(f"u{array.dtype.itemsize}"))
    return stored ^ ((1 << bits) - 1) if stored >> (bits - 1) else stored | 1 << (bits - 1)


def _number(array: Array, key: int) -> float:
    bits = 8 * array.dtype.itemsize
    stored = key ^ (1 << (bits - 1)) if key >> (bits - 1) else key ^ ((1 << bits) - 1)
    return float(np.array(stored, f"u{array.dtype.itemsize}").view(array.dtype))


def _between(low: float, high: float, share: float) -> float:
    """As NumPy rounds it."""
    distance = high - low
    return high - distance * (1 - share) if share >= 0.5 else low + distance * share


def _found(array: Array) -> str:
    return f"{array.dtype} {array.shape}"
