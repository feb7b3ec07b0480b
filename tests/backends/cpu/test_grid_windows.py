"""Windows of a table, read and added one call after the other, against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_infer.backends.cpu.grid_windows import GridAdder, GridReader
from gpu_infer.backends.cpu.kernels.launch import FEW

STARTS = np.array([(0, 0, 0), (0, 2, 5), (3, 1, 2), (5, 4, 6), (5, 4, 6)], np.int64)
ROI = (3, 4, 5)
GRID = (8, 8, 11)
LARGE = (40, 41, 42)
"""A window that threads share."""


def volume(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    return (100 * np.random.default_rng(0).normal(size=shape)).astype(dtype)


def box(start: NDArray[np.int64], roi: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(s, s + n) for s, n in zip(start.tolist(), roi, strict=True))


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i2", "u1", ">f4", "?"])
def test_windows_have_the_bytes_of_the_images(dtype: str) -> None:
    images = volume((2, 3, *GRID), dtype)
    reader = GridReader(images, STARTS, ROI)
    for image, first, count in [(0, 0, 5), (1, 3, 2), (1, 1, 1)]:
        out = np.empty((count, 3, *ROI), dtype)
        reader.read(image, first, out)
        for window, start in zip(out, STARTS[first:], strict=False):
            np.testing.assert_array_equal(window, images[image, :, *box(start, ROI)])


@pytest.mark.parametrize("axes", [(0, 1, 4, 3, 2), (1, 0, 3, 2, 4)])
def test_images_of_any_layout_are_read_when_windows_are(axes: tuple[int, ...]) -> None:
    images = np.ascontiguousarray(volume((2, 2, *GRID), "f4").transpose(axes)).transpose(np.argsort(axes))[..., ::-1]
    reader = GridReader(images, STARTS, ROI)
    images += 1
    out = np.empty((1, 2, *ROI), np.float32)
    reader.read(1, 2, out)
    np.testing.assert_array_equal(out[0], images[1, :, *box(STARTS[2], ROI)])


def test_what_a_reader_does_not_take() -> None:
    packed = np.zeros((1, 1, *GRID), np.dtype([("flag", "u1"), ("value", "f4")]))["value"]
    assert not GridReader.takes(packed)
    assert not GridReader.takes(np.zeros((1, 1, *GRID), np.longdouble))
    halves = np.zeros(2 * 704 + 2, np.float32)
    first = halves.ctypes.data // 4 % 2  # the place of a multiple of 8 bytes
    assert GridReader.takes(halves[first : first + 1408].view(np.complex64).reshape(1, 1, *GRID))
    odd = halves[1 - first : 1409 - first].view(np.complex64).reshape(1, 1, *GRID)
    assert odd.flags.aligned
    assert not GridReader.takes(odd)
    assert GridReader.takes(np.broadcast_to(np.float32(1), (1, 1, *GRID)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_have_the_bits_of_one_window_after_the_other(dtype: Any, weighted: bool) -> None:
    """Windows that begin before the grid, end after it, or lie outside are cut."""
    starts = np.concatenate([STARTS, [(-1, -2, -3), (6, 5, 9), (-3, 0, 0), (20, 0, 0)]])
    repeats = np.array([1, 2, 1, 3, 1, 1, 6, 1, 1])
    values, weights = volume((9, 2, *ROI), dtype), np.random.default_rng(1).random(ROI, np.float32)
    sums = volume((2, 2, *GRID), "f4")
    expected = sums.copy()
    adder = GridAdder(sums, starts, repeats, ROI)
    for first, end in [(0, 3), (3, 4), (4, 9)]:
        adder.add(1, first, values[first:end], weights if weighted else None)
    padded = np.pad(expected[1], [(0, 0), *[(30, 30)] * 3])
    for start, times, value in zip(starts, repeats, values, strict=True):
        factor = np.float32(times) * (weights if weighted else np.float32(1))
        padded[:, *box(start + 30, ROI)] += factor * value.astype(np.float32)
    expected[1] = padded[:, 30:-30, 30:-30, 30:-30]
    np.testing.assert_array_equal(sums, expected)


def test_threads_give_the_same() -> None:
    images = volume((1, 1, 60, 50, 45), "f4")
    starts = np.array([(0, 0, 0), (20, 9, 3), (5, 2, 1)], np.int64)
    windows = np.empty((3, 1, *LARGE), np.float32)
    assert windows[0].size > FEW
    GridReader(images, starts, LARGE).read(0, 0, windows)
    sums = np.zeros((1, 1, 60, 50, 45), np.float32)
    weights = np.random.default_rng(1).random(LARGE, np.float32)
    adder = GridAdder(sums, starts, np.ones(3), LARGE)
    adder.add(0, 0, windows, weights)
    adder.add(0, 1, windows[1:2], None)  # other weights than before
    expected = np.zeros_like(sums)
    for start in starts:
        expected[0, :, *box(start, LARGE)] += weights * images[0, :, *box(start, LARGE)]
    expected[0, :, *box(starts[1], LARGE)] += images[0, :, *box(starts[1], LARGE)]
    np.testing.assert_array_equal(sums, expected)


def test_what_an_adder_does_not_take() -> None:
    values = np.zeros((1, 1, *ROI), np.float32)
    assert GridAdder.takes(values, None)
    assert not GridAdder.takes(values[..., ::-1], None)
    assert not GridAdder.takes(values.astype(np.float64), None)
    assert not GridAdder.takes(values, np.ones(ROI[::-1], np.float32).T)
