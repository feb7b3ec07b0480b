"""Statistics of labels from tables of counts: order-preserving keys of stored values, and exact sums.

A key is an unsigned integer that is ordered as its value. Values of up to 16 bits are counted key by key; such a table
has everything that the statistics need. Wider values have keys of 32 bits and are read three times: the highest
`BIN_BITS` bits are a bin, for which the rest of the keys and their squares are summed as integers, and both middle
values are found digit by digit. A float64 is rounded to float32 first, as it is for the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.types import HostArray

BIN_BITS = 9
REST_BITS = 32 - BIN_BITS
HALF_BITS = 12
"""Squares of a bin's rests are summed in two parts, the lowest 2·HALF_BITS bits and those above: no sum overflows."""

DIGITS = ((REST_BITS - 12, 12), (0, REST_BITS - 12))
"""Shift and bits of the digits that follow the bin."""

SUM_FIELDS = 4
"""Per bin: voxels, sum of rests, sums of both parts of their squares."""

SUM_WIDTH = (SUM_FIELDS << BIN_BITS) + 2
"""uint64 per label: the bins, the highest key, and the complement of the lowest one."""

EXTENT_FIELDS = 10
"""int64 per label: voxels, sums of the indices of three axes, their maxima, and their maxima counted from the end."""

MOST_VOXELS = 1 << 32
"""A label map has fewer: counts have 32 bits."""

MOST_NARROW = 256
"""Labels whose values of 16 bits are counted key by key: 64 MiB."""

TABLE_BYTES = 64 << 20
"""Of all copies of a table on the CPU, unless one copy is larger."""

SLAB_BYTES = 16 << 20
"""Of stored voxels that are uploaded or converted at once, unless one plane is larger."""

_UNIT = 149
"""Every float32 is an integer times 2^−149."""


@dataclass(frozen=True)
class LabelStatistics:
    """One label of a label map; values are stored values.

    voxels            at least 1
    not_finite        voxels whose value is NaN or infinite: they count in none of the values
    mean, std, median, minimum, maximum
                      of the finite values; NaN if there is none. std is that of the population
    begin, end        bounding box: first index along each axis, and the one after the last
    centre            mean index along each axis
    """

    voxels: int
    not_finite: int
    mean: float
    std: float
    median: float
    minimum: float
    maximum: float
    begin: tuple[int, int, int]
    end: tuple[int, int, int]
    centre: tuple[float, float, float]


@dataclass(frozen=True)
class Values:
    """Values of one label, see `LabelStatistics`; `count` are finite."""

    count: int
    mean: float = math.nan
    std: float = math.nan
    median: float = math.nan
    minimum: float = math.nan
    maximum: float = math.nan


def is_narrow(dtype: np.dtype[Any], labels: int) -> bool:
    """Whether the values of so many labels are counted key by key."""
    return dtype.kind in "iu" and dtype.itemsize <= 2 and labels <= MOST_NARROW


def table_bytes(dtype: np.dtype[Any], labels: int) -> int:
    """Bytes of the largest table."""
    if is_narrow(dtype, labels):
        return labels * 4 << 8 * dtype.itemsize
    return labels * max(8 * SUM_WIDTH, 2 * 4 << DIGITS[0][1])


def copies_bytes(dtype: np.dtype[Any], labels: int) -> int:
    """An upper bound of the bytes of a table with a copy for each thread."""
    return max(one := table_bytes(dtype, labels), min(TABLE_BYTES, 64 * one))


def slab_bytes(nbytes: int, shape: Sequence[int]) -> int:
    """An upper bound of the bytes of one slab of a channel of `nbytes`."""
    return min(nbytes, max(SLAB_BYTES, nbytes // max(1, min(shape))))


def narrow_values(counts: NDArray[np.int64], dtype: np.dtype[Any]) -> Values:
    """Values of one label from the counts of all keys of an integer of up to 16 bits."""
    keys = np.flatnonzero(counts)
    n = int(counts.sum())
    if not n:
        return Values(0)
    occurring = counts[keys]
    lowest = int(np.iinfo(dtype).min)
    # a label has fewer than 2^32 voxels, so that the squares of 16 bits fit 64
    total = int(np.dot(occurring, keys))
    squares = int(np.dot(occurring.astype(np.uint64), keys.astype(np.uint64) ** 2))
    below = np.cumsum(occurring)
    lower, upper = (int(keys[np.searchsorted(below, rank, side="right")]) for rank in middle_ranks(n))
    return Values(
        count=n,
        mean=(total + n * lowest) / n,
        std=math.sqrt((n * squares - total * total) / (n * n)),
        median=(lower + upper) / 2 + lowest,
        minimum=float(keys[0] + lowest),
        maximum=float(keys[-1] + lowest),
    )


def wide_values(sums: NDArray[np.uint64], middle: Sequence[int], dtype: np.dtype[Any]) -> Values:
    """Values of one label from its row of sums and the keys of both middle values."""
    bins = sums[:-2].reshape(-1, SUM_FIELDS)
    n = int(bins[:, 0].sum())
    if not n:
        return Values(0)
    total = squares = 0
    for number in np.flatnonzero(bins[:, 0]):
        count, rests, low, high = (int(v) for v in bins[number])
        begin, shift = _bin(int(number), dtype)
        # (rest + begin)² of all values of the bin, in units of 2^shift
        total += (rests + count * begin) << shift
        rests_squared = low + (high << 2 * HALF_BITS)
        squares += (rests_squared + 2 * begin * rests + count * begin * begin) << 2 * shift
    unit = _UNIT if dtype.kind == "f" else 0
    lower, upper = (key_value(key, dtype) for key in middle)
    return Values(
        count=n,
        mean=total / (n << unit),
        std=math.sqrt((n * squares - total * total) / (n * n << 2 * unit)),
        median=(lower + upper) / 2,
        minimum=key_value(0xFFFFFFFF - int(sums[-1]), dtype),
        maximum=key_value(int(sums[-2]), dtype),
    )


def _bin(number: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """(begin, shift): a value of the bin is (rest + begin)·2^shift, for floats in units of 2^−149."""
    if dtype.kind != "f":
        return (number << REST_BITS) - (1 << 31 if dtype.kind == "i" else 0), 0
    positive = number >= 256
    exponent = number - 256 if positive else 255 - number
    implicit = (1 << REST_BITS) if exponent else 0
    # the rest of a negative value is the complement of its mantissa
    begin = implicit if positive else 1 - (1 << REST_BITS) - implicit
    return begin, max(exponent, 1) - 1


def key_value(key: int, dtype: np.dtype[Any]) -> float:
    """The value of a key of 32 bits; exact. −0 becomes 0."""
    if dtype.kind == "f":
        bits = key ^ 0x80000000 if key >> 31 else key ^ 0xFFFFFFFF
        return float(np.uint32(bits).view(np.float32)) + 0.0
    return float(key - (1 << 31 if dtype.kind == "i" else 0))


def middle_ranks(count: int) -> tuple[int, int]:
    """Ranks of the middle value or values, the median of `count` values in order."""
    return max(count - 1, 0) // 2, count // 2


class MiddleKeys:
    """The keys of the middle values of each label, digit by digit from the highest.

    prefixes  uint32 [labels, 2]: the digits so far
    """

    def __init__(self, bins: NDArray[np.uint64]) -> None:
        """bins  voxels [labels, 2^BIN_BITS]"""
        self.prefixes = np.zeros((len(bins), 2), np.uint32)
        self._ranks = np.array([middle_ranks(int(counts.sum())) for counts in bins], np.int64).reshape(-1, 2)
        self._has_value = bins.any(axis=1)
        self.descend(bins[:, np.newaxis], BIN_BITS)

    def descend(self, counts: HostArray, bits: int) -> None:
        """Add one digit.

        counts  voxels [labels, 1 or 2, 2^bits] by the next digit, of those that have both prefixes' digits; [:, 1]
                counts only if the prefixes of a label differ
        """
        prefixes = self.prefixes.copy()
        for label in np.flatnonzero(self._has_value):
            same = prefixes[label, 0] == prefixes[label, 1]
            for which in (0, 1):
                below = np.cumsum(counts[label, 0 if same else which], dtype=np.int64)
                digit = int(np.searchsorted(below, self._ranks[label, which], side="right"))
                self._ranks[label, which] -= below[digit - 1] if digit else 0
                self.prefixes[label, which] = (int(prefixes[label, which]) << bits) | digit
