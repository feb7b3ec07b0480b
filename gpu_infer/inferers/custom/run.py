"""Call a custom inferer, check what it returns, and finish it as the post-transforms expect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine, float32
from gpu_infer.choices import ScoresActivation
from gpu_infer.inferers.base import Inferer, ModelSizes
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.transforms.custom.arrays import is_refused, read_only, writable
from gpu_infer.transforms.custom.errors import UnexpectedResultError, named, whole_bytes

Finalizer = Literal["argmax", "masks", "scores"]


def scratch_bytes(inferer: Inferer, sizes: ModelSizes) -> int:
    """`Inferer.scratch_bytes`, checked. Raises ConfigError that names the inferer."""
    with named(inferer, "scratch_bytes"):
        return whole_bytes(inferer.scratch_bytes(sizes))


def run_inferer(
    inferer: Inferer,
    volume: Array,
    client: ModelClient,
    backend: Backend,
    finalizer: Finalizer,
    thresholds: Callable[[int], Sequence[float]],
    activation: ScoresActivation | None = None,
) -> Array:
    """The result of an inferer on `backend`, as `Pipeline.accept` takes it.

    Args:
        inferer: Returns scores, or labels if `finalizer` is "argmax".
        volume: [C, X, Y, Z], the prepared volume.
        client: Of this run.
        backend: Of the volume.
        finalizer: What the post-transforms begin with.
        thresholds: Threshold of each channel by the number of channels, if `finalizer` is "masks".
        activation: Of the scores, if `finalizer` is "scores"; None: they stay.

    Raises:
        ConfigError: The inferer failed, or returned something else than `Inferer.infer` describes; names its place.
        ServerError, ModelError, DeadlineError: A request failed.
    """
    with named(inferer, "infer"):
        try:
            result: Any = inferer.infer_volume(read_only(volume), client, backend)
        except BaseException:
            if client.failure is None:
                raise
        if client.failure is None:
            _check(result, inferer, client.sizes, volume, backend)
    if client.failure is not None:  # also if the inferer caught it
        raise client.failure
    scores: Array = writable(result)
    if inferer.returns == "labels":
        return scores
    if finalizer == "scores":
        return scores if activation is None else _probabilities(scores, activation, backend)
    if finalizer == "argmax":
        labels = backend.empty(client.sizes.grid, client.sizes.label_dtype)
        backend.argmax(scores, labels)
        return labels
    masks = backend.empty(scores.shape, np.uint8)
    for channel, threshold in enumerate(thresholds(client.sizes.classes)):
        backend.threshold(scores[channel : channel + 1], masks[channel : channel + 1], float(float32(threshold)))
    return masks


def _probabilities(scores: Array, activation: ScoresActivation, backend: Backend) -> Array:
    """In a new array: the inferer's own can be the volume, repeat voxels by strides of 0, or serve the next run."""
    out = backend.empty(scores.shape, np.float32)
    backend.resample(scores, out, None, ClampedAffine(), ClampedAffine())
    backend.probabilities(out, activation)
    return out


def _check(result: Any, inferer: Inferer, sizes: ModelSizes, volume: Array, backend: Backend) -> None:
    is_labels = inferer.returns == "labels"
    shape = sizes.grid if is_labels else (sizes.classes, *sizes.grid)
    dtype = sizes.label_dtype if is_labels else np.dtype(np.float32)
    usual = np.ndarray if isinstance(volume, np.ndarray) else type(volume)
    is_usual = isinstance(result, usual) and not isinstance(result, np.ma.MaskedArray)
    if not is_usual or tuple(result.shape) != shape or result.dtype != dtype:
        library = usual.__module__.partition(".")[0]
        raise UnexpectedResultError(f"{inferer.returns} as a {library} array {shape} {dtype}", result)
    if not is_labels and is_refused(result, "scores", backend):
        raise UnexpectedResultError(
            "scores without NaN", found="NaN", remedy="fix the computation: a division by 0, voxels that nothing sets"
        )
