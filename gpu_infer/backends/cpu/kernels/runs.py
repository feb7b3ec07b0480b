"""Runs of equal labels along a line, found eight bytes at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper
from gpu_infer.backends.cpu.kernels.strided import frozen, reading
from gpu_infer.backends.types import HostArray

_WORD = 8


class FlatLabels(NamedTuple):
    """Labels as `strided.Flat`, and as words.

    words   uint64 over the same memory, from element `before` on
    before  elements before the first aligned word
    """

    data: Buffer
    offset: int
    strides: tuple[int, ...]
    words: Buffer
    before: int


def flat_labels(labels: HostArray) -> FlatLabels:
    """A non-empty view of uint8 or uint16 for a kernel."""
    flat = reading(labels)
    size = flat.data.dtype.itemsize
    before = min((-flat.data.ctypes.data % _WORD) // size, flat.data.size)
    per_word = _WORD // size
    count = (flat.data.size - before) // per_word
    words = frozen(flat.data[before : before + count * per_word].view(np.uint64))
    return FlatLabels(flat.data, flat.offset, flat.strides, words, before)


@helper
def run_end(labels: Buffer, words: Buffer, before: int, begin: int, step: int, k: int, n: int) -> int:
    """The first index after k whose label differs from that of k on the line that begins at `begin`, or n."""
    value = labels[np.uintp(begin + k * step)]
    k += 1
    if step == 1:
        per_word = _WORD // labels.itemsize
        while k < n and (begin + k - before) % per_word != 0:
            if labels[np.uintp(begin + k)] != value:
                return k
            k += 1
        pattern = np.uint64(value) * np.uint64(0x0101010101010101 if per_word == _WORD else 0x0001000100010001)
        word = (begin + k - before) // per_word
        while k + 4 * per_word <= n:  # four words per comparison
            apart = words[np.uintp(word)] ^ pattern
            apart |= words[np.uintp(word + 1)] ^ pattern
            apart |= words[np.uintp(word + 2)] ^ pattern
            apart |= words[np.uintp(word + 3)] ^ pattern
            if apart != 0:
                break
            k += 4 * per_word
            word += 4
        while k + per_word <= n and words[np.uintp(word)] == pattern:
            k += per_word
            word += 1
    while k < n and labels[np.uintp(begin + k * step)] == value:
        k += 1
    return k
