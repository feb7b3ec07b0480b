"""Runs of several toy models, and the same in NumPy: pad, infer, weigh, divide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from operator_helpers import config
from toy_scores import places

from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.windows import make_grid

SHAPE, ROI = (23, 14, 18), (12, 10, 9)


def nearest(x: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """x [N, 1, …] → [N, K, …]: −|x − k|."""
    return -np.abs(x - np.arange(classes, dtype=np.float32).reshape(1, -1, 1, 1, 1))


def threshold(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x [N, 1, …] → [N, 2, …]: 0.5 and x."""
    return np.concatenate([np.full_like(x, 0.5), x], axis=1)


MODELS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "places3d": places,
    "classes3": lambda x: nearest(x, 3),
    "classes5": lambda x: nearest(x, 5),
    "threshold_half": threshold,
}


def content(entries: list[Any], **arguments: Any) -> dict[str, Any]:
    made = config("", models=entries, **({"roi_size": list(ROI)} | arguments))
    del made["inferer"]["args"]["model_name"]
    return made


def mean_scores(
    data: NDArray[np.float32], weights: dict[str, float], mode: str = "clara", **arguments: Any
) -> NDArray[np.float64]:
    """[K, X, Y, Z] in float64: pad, infer, weigh every voxel of every window of every model, divide."""
    settings = window_mode(mode, arguments)
    grid, importance = make_grid(SHAPE, ROI, settings), settings.importance(ROI)
    weight = np.ones(ROI) if importance is None else importance.astype(np.float64)
    padded = np.pad(data, [(r, r) for r in ROI])
    channels = MODELS[next(iter(weights))](padded[None, None]).shape[1]
    sums, total = np.zeros((channels, *padded.shape)), np.zeros(padded.shape)
    for visit in grid.windows:
        box = tuple(slice(s + r, s + 2 * r) for s, r in zip(visit, ROI, strict=True))
        for mirror in grid.mirrors:
            tile = np.flip(padded[box], mirror)[None, None]
            for name, share in weights.items():
                scores = np.flip(MODELS[name](np.ascontiguousarray(tile))[0], [axis + 1 for axis in mirror])
                sums[(slice(None), *box)] += share * weight * scores
                total[box] += share * weight
    inside = tuple(slice(r, r + n) for n, r in zip(SHAPE, ROI, strict=True))
    return sums[(slice(None), *inside)] / total[inside]


def assert_argmax(labels: NDArray[Any], scores: NDArray[np.float64]) -> None:
    """The labels are the argmax, off voxels whose two best scores differ by less than float32 sums may."""
    best = np.sort(scores, axis=0)
    clear = best[-1] - best[-2] > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(labels[clear], scores.argmax(0)[clear])
