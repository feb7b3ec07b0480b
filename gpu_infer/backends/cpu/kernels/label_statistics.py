"""Counting the voxels, places and values of labels, by runs of equal labels along lines; each job has own tables."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.runs import FlatLabels, run_end
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape
from gpu_infer.backends.label_tables import HALF_BITS, REST_BITS, SUM_FIELDS
from gpu_infer.backends.types import HostArray

_REST = (1 << REST_BITS) - 1
_LOW = (1 << 2 * HALF_BITS) - 1
_LOWEST = np.uint32(1 << 31)
_INFINITE = np.uint32(0x7F800000)

UNSIGNED, SIGNED, FLOAT = 0, 1, 2
"""What 32 bits mean."""


@helper
def _add_run(extent: Buffer, i: int, j: int, k: int, end: int, shape: Shape) -> None:
    """Add the voxels k to end − 1 of a line to one row of EXTENT_FIELDS."""
    run = end - k
    extent[0] += run
    extent[1] += run * i
    extent[2] += run * j
    extent[3] += run * (k + end - 1) // 2
    extent[4] = max(extent[4], i)
    extent[5] = max(extent[5], j)
    extent[6] = max(extent[6], end - 1)
    extent[7] = max(extent[7], shape[0] - 1 - i)
    extent[8] = max(extent[8], shape[1] - 1 - j)
    extent[9] = max(extent[9], shape[2] - 1 - k)


@kernel
def label_extents(source: FlatLabels, numbers: Buffer, shape: Shape, extents: Buffer) -> None:
    """extents int64 [jobs, labels, EXTENT_FIELDS], zeros at first: add places, raise maxima."""
    labels, offset, (s_i, s_j, s_k), words, before = source
    n_i, n_j, n_k = shape
    rows = n_i * n_j
    jobs = extents.shape[0]
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            i = row // n_j
            j = row % n_j
            a = offset + i * s_i + j * s_j
            k = 0
            while k < n_k:
                end = run_end(labels, words, before, a, s_k, k, n_k)
                number = numbers[labels[np.uintp(a + k * s_k)]]
                if number != 0:
                    _add_run(extents[job, number - 1], i, j, k, end, shape)
                k = end


@kernel
def add_values(
    source: FlatLabels,
    sampled: Flat,
    numbers: Buffer,
    planes: tuple[int, int],
    shape: Shape,
    flip: int,
    extents: Buffer,
    tables: Buffer,
) -> None:
    """Extents as above, and tables uint32 [jobs, labels, keys]: += 1 at the stored bits (unsigned) ^ flip.

    planes  first of this slab and the one after its last; `shape` is that of all slabs
    """
    labels, offset, (s_i, s_j, s_k), words, before = source
    values, values_offset, (v_i, v_j, v_k) = sampled
    _, n_j, n_k = shape
    first = planes[0]
    rows = (planes[1] - first) * n_j
    jobs = tables.shape[0]
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            i = row // n_j
            j = row % n_j
            a = offset + i * s_i + j * s_j
            b = values_offset + i * v_i + j * v_j
            k = 0
            while k < n_k:
                end = run_end(labels, words, before, a, s_k, k, n_k)
                number = numbers[labels[np.uintp(a + k * s_k)]]
                if number != 0:
                    _add_run(extents[job, number - 1], first + i, j, k, end, shape)
                    table = tables[job, number - 1]
                    for m in range(k, end):
                        table[np.uintp(values[np.uintp(b + m * v_k)] ^ flip)] += np.uint32(1)
                k = end


@helper
def _key(bits: np.uint32, kind: int) -> np.uint32:
    """The bits of a 32-bit value as an unsigned integer of the same order."""
    if kind == UNSIGNED:
        return bits
    if kind == SIGNED or bits < _LOWEST:
        return np.uint32(bits ^ _LOWEST)
    return np.uint32(~bits)


@helper
def _is_finite(bits: np.uint32, kind: int) -> bool:
    return kind != FLOAT or (bits & _INFINITE) != _INFINITE


@kernel
def add_sums(source: FlatLabels, sampled: Flat, numbers: Buffer, shape: Shape, kind: int, tables: Buffer) -> None:
    """tables uint64 [jobs, labels, SUM_WIDTH]: add the finite values, whose 32 bits `sampled` has."""
    labels, offset, (s_i, s_j, s_k), words, before = source
    values, values_offset, (v_i, v_j, v_k) = sampled
    n_i, n_j, n_k = shape
    rows = n_i * n_j
    jobs = tables.shape[0]
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            i = row // n_j
            j = row % n_j
            a = offset + i * s_i + j * s_j
            b = values_offset + i * v_i + j * v_j
            k = 0
            while k < n_k:
                end = run_end(labels, words, before, a, s_k, k, n_k)
                number = numbers[labels[np.uintp(a + k * s_k)]]
                if number != 0:
                    table = tables[job, number - 1]
                    last = table.size - 1
                    for m in range(k, end):
                        bits = values[np.uintp(b + m * v_k)]
                        if _is_finite(bits, kind):
                            key = np.uint64(_key(bits, kind))
                            place = np.uintp(key >> np.uint64(REST_BITS)) * np.uintp(SUM_FIELDS)
                            rest = key & np.uint64(_REST)
                            square = rest * rest
                            table[place] += np.uint64(1)
                            table[place + np.uintp(1)] += rest
                            table[place + np.uintp(2)] += square & np.uint64(_LOW)
                            table[place + np.uintp(3)] += square >> np.uint64(2 * HALF_BITS)
                            table[last - 1] = max(table[last - 1], key)
                            table[last] = max(table[last], np.uint64(0xFFFFFFFF) - key)
                k = end


@kernel
def add_digits(
    source: FlatLabels,
    sampled: Flat,
    numbers: Buffer,
    shape: Shape,
    kind: int,
    prefixes: Buffer,
    digit: tuple[int, int],
    tables: Buffer,
) -> None:
    """tables uint32 [jobs, labels, 2 << bits]: += 1 at the digit of keys that begin with a prefix."""
    labels, offset, (s_i, s_j, s_k), words, before = source
    values, values_offset, (v_i, v_j, v_k) = sampled
    n_i, n_j, n_k = shape
    shift, bits_of_digit = np.uint32(digit[0]), np.uint32(digit[1])
    mask = np.uint32((1 << digit[1]) - 1)
    rows = n_i * n_j
    jobs = tables.shape[0]
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            i = row // n_j
            j = row % n_j
            a = offset + i * s_i + j * s_j
            b = values_offset + i * v_i + j * v_j
            k = 0
            while k < n_k:
                end = run_end(labels, words, before, a, s_k, k, n_k)
                number = numbers[labels[np.uintp(a + k * s_k)]]
                if number != 0:
                    table = tables[job, number - 1]
                    first = prefixes[number - 1, 0]
                    second = prefixes[number - 1, 1]
                    for m in range(k, end):
                        bits = values[np.uintp(b + m * v_k)]
                        if _is_finite(bits, kind):
                            key = _key(bits, kind)
                            high = (key >> shift) >> bits_of_digit
                            if high == first:
                                table[np.uintp((key >> shift) & mask)] += np.uint32(1)
                            elif high == second:
                                table[np.uintp(((key >> shift) & mask) + mask) + np.uintp(1)] += np.uint32(1)
                k = end


def key_bits(values: HostArray) -> tuple[NDArray[np.uint32], int]:
    """Values as 32 bits, and what these mean; a copy unless they have 32 bits already."""
    kind = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[values.dtype.kind]
    dtype = np.dtype(f"{values.dtype.kind}4")
    if values.dtype != dtype:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            values = values.astype(dtype, order="K")
    return values.view(np.uint32), kind
