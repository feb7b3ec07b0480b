"""Slabs of a restored map against the restore of the whole map and against SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import zoom

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain import restore_slabs as module
from gpu_infer.transforms.chain.restore import inverse, restore
from gpu_infer.transforms.chain.restore_slabs import restored_slabs, slab_bytes
from gpu_infer.transforms.field import FieldState, Source
from gpu_infer.volume.geometry import Geometry, Orientation

BACKEND = CpuBackend()
STORED = (13, 11, 17)
ORIENTATIONS = [
    Orientation(axes, flips)  # type: ignore[arg-type]
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def field_of(orientation: Orientation) -> FieldState:
    source = Source(Geometry(STORED, np.eye(4)), orientation)
    return FieldState("model", 1, source.loaded.shape, np.dtype(np.float32), (1.0, 1.0, 1.0), source, "scores")


def resampled(state: FieldState) -> None:
    x, y, z = state.shape
    state.resampled((x + 4, y - 3, z - 3))


def faces(state: FieldState) -> None:
    x, y, z = state.shape
    state.resampled((max(2, x // 3), 2 * y, z // 2), align_corners=False)


def cropped(state: FieldState) -> None:
    x, y, z = state.shape
    state.windowed((2, 1, 3), (x - 4, y - 2, z - 4))


def padded(state: FieldState) -> None:
    x, y, z = state.shape
    state.windowed((-2, -1, -3), (x + 3, y + 4, z + 5))


def flattened(state: FieldState) -> None:
    x, y, _ = state.shape
    state.resampled((x, y, 1))


HISTORIES = {
    "none": (),
    "resampled": (resampled,),
    "faces": (faces,),
    "cropped": (cropped,),
    "padded": (padded,),
    "resampled, cropped": (resampled, cropped),
    "cropped, resampled": (cropped, resampled),
    "resampled, padded": (resampled, padded),
    "padded, resampled, cropped": (padded, resampled, cropped),
    "both conventions": (resampled, faces),
    "cropped between two": (resampled, cropped, faces, padded),
    "flattened": (flattened,),
}


def whole(scores: np.ndarray, state: FieldState) -> np.ndarray:
    """[K, J, I] in the file's order."""
    field = state.copy(array=scores.astype(np.float32))
    restore(field, "linear", BACKEND)
    return inverse(field.source.orientation).view(field.array)[0].transpose(2, 1, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("rows", [2, 3, 100])
def test_slabs_are_the_whole_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch, history: str, rows: int, dtype: type
) -> None:
    i, j, _ = STORED
    monkeypatch.setattr(module, "SLAB_BYTES", rows * i * j * 4)
    for number, orientation in enumerate(ORIENTATIONS[::3]):
        state = field_of(orientation)
        for step in HISTORIES[history]:
            step(state)
        scores = np.random.default_rng(number).random((1, *state.shape)).astype(dtype)
        expected = whole(scores, state)
        slabs = list(restored_slabs(scores, state, BACKEND))
        assert all(slab.flags.c_contiguous and slab.shape[0] >= 2 for slab in slabs)
        assert max(slab.shape[0] for slab in slabs) <= max(rows + 1, 2)
        np.testing.assert_array_equal(np.concatenate(slabs), expected)


def test_one_resampling_is_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLAB_BYTES", 1)
    state = field_of(Orientation.identity())
    state.resampled((6, 7, 5))
    scores = np.random.default_rng(0).random((1, 6, 7, 5)).astype(np.float32)
    values = np.concatenate(list(restored_slabs(scores, state, BACKEND))).transpose(2, 1, 0)
    factors = [a / b for a, b in zip(STORED, scores.shape[1:], strict=True)]
    expected = zoom(scores[0].astype(np.float64), factors, order=1, mode="nearest")
    np.testing.assert_allclose(values, expected, atol=2e-6)


@pytest.mark.parametrize("history", HISTORIES)
def test_no_more_bytes_than_planned(monkeypatch: pytest.MonkeyPatch, history: str) -> None:
    i, j, _ = STORED
    monkeypatch.setattr(module, "SLAB_BYTES", 3 * i * j * 4)
    for orientation in ORIENTATIONS[::5]:
        state = field_of(orientation)
        for step in HISTORIES[history]:
            step(state)
        counting = CountingBackend()
        planned, _ = slab_bytes(state)
        for _ in restored_slabs(np.zeros((1, *state.shape), np.float32), state, counting):
            pass
        assert 0 <= counting.most <= planned, orientation


class CountingBackend(CpuBackend):
    """Adds the bytes of all arrays of a slab, and of steps before it."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def empty(self, shape: object, dtype: object) -> np.ndarray:
        array = super().empty(shape, dtype)  # type: ignore[arg-type]
        self.most = max(self.most, array.nbytes)
        return array

    zeros = empty
