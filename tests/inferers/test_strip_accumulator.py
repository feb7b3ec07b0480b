"""Labels that are made strip by strip: bit by bit those of the accumulator of the whole grid, each voxel once."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, MaskFinalizer
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.strip_accumulator import FinalLabels, LayerRows, StripAccumulator, final_shape, sums_shapes
from gpu_infer.inferers.windows import WindowGrid, make_grid

BACKEND = CpuBackend()
ORDERS = list(permutations(range(3)))

_shapes = st.tuples(*[st.integers(1, 18)] * 3)
_rois = st.tuples(*[st.integers(1, 9)] * 3)
_modes = st.sampled_from(
    [
        window_mode("clara"),
        window_mode("monai", {"overlap": (0.25, 0.25, 0.25)}),
        window_mode("monai", {"overlap": (0.7, 0.7, 0.7)}),
        window_mode("nnunet", {"mirror_axes": (0, 2)}),
    ]
)


def outputs_of(grid: WindowGrid, channels: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(grid.visits), channels, *grid.roi)).astype(np.float32)


@given(_shapes, _rois, _modes, st.sampled_from(ORDERS), st.integers(1, 5), st.booleans(), st.booleans())
def test_labels_are_those_of_the_whole_grid(
    shape: Any, roi: Any, mode: Any, order: Any, batch: int, masks: bool, weighted: bool
) -> None:
    grid = make_grid(shape, roi, mode, order=order)
    channels = 1 if masks else 3
    outputs = outputs_of(grid, channels, sum(shape))
    importance = np.random.default_rng(1).random(roi, np.float32) + np.float32(0.1) if weighted else None
    finalizer = MaskFinalizer(BACKEND, grid, (0.1,)) if masks else ArgmaxFinalizer(BACKEND, grid, channels)
    whole = Accumulator(BACKEND, grid, channels, finalizer, importance=importance)
    result = np.full(shape, 255, np.uint8)
    written = np.zeros(shape, np.int64)

    def take(final: FinalLabels) -> None:
        box = tuple(slice(a, a + n) for a, n in zip(final.low, final.labels.shape, strict=True))
        result[box] = final.labels
        written[box] += 1
        assert all(n <= most for n, most in zip(final.labels.shape, final_shape(grid), strict=True))

    strips = StripAccumulator(
        BACKEND, grid, channels, take, thresholds=(0.1,) if masks else None, importance=importance
    )
    for first in range(0, len(grid.visits), batch):
        group = grid.visits[first : first + batch]
        whole.add(outputs[first : first + batch], group)
        strips.add(outputs[first : first + batch], group)
    expected = whole.close()
    strips.close()
    np.testing.assert_array_equal(result, expected[0] if masks else expected)
    assert (written == 1).all()


def test_sums_of_windows_with_a_small_overlap_are_a_few_rows() -> None:
    grid = make_grid((2048, 2048, 2000), (128, 128, 128), window_mode("clara"), order=(2, 1, 0))
    own, shared = sums_shapes(grid)
    assert own == (2048, 128, 112)  # the rows of the first layer that no second one covers
    assert shared == (2048, 2048, 64)  # 16 + 48: the last layer is moved back onto the one before
    assert final_shape(grid)[0] == 2048


@pytest.mark.parametrize(
    ("starts", "roi", "size", "shared", "final", "heights"),
    [
        ((0, 6, 12), 8, 20, [6, 7, 12, 13], ((0, 6), (6, 12), (12, 20)), (6, 4)),
        ((0, 4, 8), 8, 16, [*range(4, 12)], ((0, 4), (4, 8), (8, 16)), (4, 8)),
        ((-2,), 8, 4, [], ((0, 4),), (4, 0)),
    ],
)
def test_rows_of_layers_by_hand(starts: Any, roi: int, size: int, shared: Any, final: Any, heights: Any) -> None:
    rows = LayerRows.of(starts, roi, size)
    assert np.flatnonzero(rows.is_shared).tolist() == shared
    assert rows.final == final
    assert rows.heights == heights


def test_labels_with_the_weights_of_a_mode() -> None:
    mode = window_mode("monai", {"overlap": (0.5, 0.5, 0.5), "blend": "gaussian"})
    grid = make_grid((10, 12, 9), (6, 6, 6), mode, order=(2, 1, 0))
    importance = mode.importance((6, 6, 6))
    assert importance is not None
    outputs = outputs_of(grid, 2, 3)
    whole = Accumulator(BACKEND, grid, 2, ArgmaxFinalizer(BACKEND, grid, 2), importance=importance)
    result = np.zeros(grid.shape, np.uint8)

    def take(final: FinalLabels) -> None:
        result[tuple(slice(a, a + n) for a, n in zip(final.low, final.labels.shape, strict=True))] = final.labels

    strips = StripAccumulator(BACKEND, grid, 2, take, importance=importance)
    whole.add(outputs, grid.visits)
    strips.add(outputs, grid.visits)
    strips.close()
    np.testing.assert_array_equal(result, whole.close())
