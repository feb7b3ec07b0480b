"""Results have the bits of a plain loop: cut a window, call the predictor, add what it returns before the next call.

Predictors do what a caller may do between two calls: use one buffer again, write into their windows, into windows of
earlier calls or into the volume, and return arrays of any layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_infer import sliding_window_inference
from gpu_infer.inferers.importance import monai_gaussian
from gpu_infer.inferers.placement import monai_starts

Predict = Callable[[NDArray[Any]], Any]


def plain_loop(volume: NDArray[Any], roi: tuple[int, ...], batch: int, predict: Predict, mode: str) -> list[Any]:
    """Means of the outputs, by their order or their sorted names; windows overlap by half."""
    axes = [monai_starts(n, r, 0.5) for n, r in zip(volume.shape[2:], roi, strict=True)]
    places = [
        (image, slice(None), *(slice(s, s + r) for s, r in zip(start, roi, strict=True)))
        for image in range(len(volume))
        for start in product(*axes)
    ]
    weights = monai_gaussian(roi, [0.125] * len(roi)) if mode == "gaussian" else np.ones(roi, np.float32)
    sums: list[NDArray[np.float32]] = []
    total = np.zeros(volume.shape[2:], np.float32)
    for place in places[: len(places) // len(volume)]:
        total[place[2:]] += weights
    for first in range(0, len(places), batch):
        group = places[first : first + batch]
        outputs = predict(np.stack([volume[place] for place in group]))
        if isinstance(outputs, Mapping):
            outputs = [outputs[name] for name in sorted(outputs)]
        elif not isinstance(outputs, tuple):
            outputs = (outputs,)
        for n, output in enumerate(outputs):
            if n == len(sums):
                sums.append(np.zeros((len(volume), output.shape[1], *volume.shape[2:]), np.float32))
            for place, window in zip(group, output, strict=True):
                sums[n][place] += weights * window.astype(np.float32)
    return [s / total for s in sums]


def unchanged(volume: NDArray[Any]) -> Predict:
    return lambda window: window


def in_place(volume: NDArray[Any]) -> Predict:
    def predict(window: NDArray[Any]) -> NDArray[Any]:
        window *= 3
        window[..., 0] = 1
        return window

    return predict


def one_buffer(volume: NDArray[Any]) -> Predict:
    buffer = np.zeros((9, *volume.shape[1:2], *(64,) * (volume.ndim - 2)), np.float32)
    calls = [0]

    def predict(window: NDArray[Any]) -> NDArray[Any]:
        calls[0] += 1
        out = buffer.reshape(-1)[: window.size].reshape(window.shape)
        np.multiply(window, calls[0], out=out, casting="unsafe")
        return out

    return predict


def earlier_windows(volume: NDArray[Any]) -> Predict:
    kept: list[NDArray[Any]] = []

    def predict(window: NDArray[Any]) -> NDArray[Any]:
        for earlier in kept:
            earlier += 5
        kept.append(window)
        return window

    return predict


def into_the_volume(volume: NDArray[Any]) -> Predict:
    def predict(window: NDArray[Any]) -> NDArray[Any]:
        volume[...] += 1
        return window

    return predict


def several(volume: NDArray[Any]) -> Predict:
    def predict(window: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return window, window[:, ::-1], window, np.concatenate([window, window], axis=1)

    return predict


def by_name(volume: NDArray[Any]) -> Predict:
    return lambda window: {"b": window, "a": window[:, :1] * 2}


def layouts(volume: NDArray[Any]) -> Predict:
    def predict(window: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        read_only = window.astype(np.float32)
        read_only.flags.writeable = False
        constant = np.broadcast_to(np.float32(len(window)), window.shape)
        return np.asfortranarray(window), window[..., ::-1], constant, read_only, window.astype(">f4")

    return predict


def dtypes(volume: NDArray[Any]) -> Predict:
    return lambda window: tuple(window.astype(kind) for kind in (np.float16, np.float64, np.int16))


PREDICTORS = [unchanged, in_place, one_buffer, earlier_windows, into_the_volume, several, by_name, layouts, dtypes]
ROIS = {1: (7,), 2: (6, 9), 3: (4, 6, 5)}
SIZES = {1: (31,), 2: (20, 22), 3: (9, 14, 11)}


def listed(result: Any) -> list[Any]:
    if isinstance(result, dict):
        return [result[name] for name in sorted(result)]
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("make", PREDICTORS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("dims", "batch", "mode"), [(1, 2, "constant"), (2, 1, "gaussian"), (3, 1, "constant"), (3, 5, "gaussian")]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16])
def test_any_predictor(make: Callable[..., Predict], dims: int, batch: int, mode: str, dtype: Any) -> None:
    volume = (50 * np.random.default_rng(0).normal(size=(2, 2, *SIZES[dims]))).astype(dtype)
    copy = volume.copy()
    expected = plain_loop(copy, ROIS[dims], batch, make(copy), mode)
    actual = listed(sliding_window_inference(volume, ROIS[dims], batch, make(volume), 0.5, mode))
    assert len(actual) == len(expected)
    kind = dtype if dtype != np.int16 else np.float32
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other.astype(kind))


@pytest.mark.parametrize(
    "view", [lambda v: v.T, lambda v: v[..., ::-1], lambda v: v[:, :, ::2]], ids=["turned", "back", "gaps"]
)
def test_any_layout_of_the_volume(view: Callable[[Any], Any]) -> None:
    volume = view(np.random.default_rng(0).normal(size=(12, 13, 14, 2, 3)).astype(np.float32).swapaxes(0, 4))
    roi = tuple(max(n // 2, 1) for n in volume.shape[2:])
    expected = plain_loop(volume.copy(), roi, 3, unchanged(volume), "gaussian")
    np.testing.assert_array_equal(
        sliding_window_inference(volume, roi, 3, unchanged(volume), 0.5, "gaussian"), expected[0]
    )


@pytest.mark.parametrize("make", [unchanged, in_place, one_buffer, into_the_volume], ids=lambda make: make.__name__)
@pytest.mark.parametrize(("roi", "batch"), [((44, 40, 42), 1), ((24, 22, 28), 6)])
def test_windows_that_threads_share(make: Callable[..., Predict], roi: tuple[int, ...], batch: int) -> None:
    volume = np.random.default_rng(0).normal(size=(1, 1, 60, 62, 58)).astype(np.float32)
    copy = volume.copy()
    expected = plain_loop(copy, roi, batch, make(copy), "gaussian")
    np.testing.assert_array_equal(
        sliding_window_inference(volume, roi, batch, make(volume), 0.5, "gaussian"), expected[0]
    )
