"""What transforms must compute, in NumPy and SciPy alone, and small volumes to compute it on."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, special

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.volume.geometry import Geometry, Orientation
from gpu_infer.volume.volume import Volume

ORIENTATIONS = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((False, True), repeat=3)
]


def affine_of(axes: Any, flips: Any, spacing: Any = (1.0, 1.0, 1.0), tilt: float = 0.0) -> np.ndarray:
    """RAS+ affine whose stored axis axes[c] runs along canonical axis c (backwards if flips[c]), tilted in-plane."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for canonical, (stored, flip) in enumerate(zip(axes, flips, strict=True)):
        affine[canonical, stored] = (-1.0 if flip else 1.0) * spacing[stored]
    c, s = np.cos(tilt), np.sin(tilt)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ affine[:3, :3]
    affine[:3, 3] = (-11.0, 7.0, 3.5)
    return affine


def volume_of(data: np.ndarray, affine: np.ndarray | None = None, **more: Any) -> Volume:
    """A volume from [I, J, K] or [C, I, J, K]."""
    data = data if data.ndim == 4 else data[None]
    geometry = Geometry(data.shape[1:], np.eye(4) if affine is None else affine)
    return Volume(data, geometry, Path("ct.nii"), "nifti", **more)


def transform(name: str, **args: Any) -> Any:
    return TRANSFORMS[name](**args)


def zoom(array: np.ndarray, shape: Any, order: int = 1, grid_mode: bool = False) -> np.ndarray:
    """scipy.ndimage.zoom of [C, X, Y, Z] to an exact shape, float64."""
    factors = [m / n for m, n in zip(shape, array.shape[1:], strict=True)]
    return np.stack(
        [ndimage.zoom(c.astype(np.float64), factors, order=order, mode="nearest", grid_mode=grid_mode) for c in array]
    )


def resolution_shape(shape: Any, spacing: Any, target: Any) -> tuple[int, ...]:
    return tuple(max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, target, strict=True))


def scale_range(x: np.ndarray, a_min: float, a_max: float, b_min: float, b_max: float, clip: bool) -> np.ndarray:
    y = (x - a_min) / (a_max - a_min) * (b_max - b_min) + b_min
    return np.clip(y, min(b_min, b_max), max(b_min, b_max)) if clip else y


def blank_field(shape: Any = (4, 5, 6), name: str = "image", **changes: Any) -> FieldState:
    """A field on an identity grid."""
    from gpu_infer.transforms.field import Source

    source = Source(Geometry(tuple(shape), np.eye(4)), Orientation.identity(), Path("ct.nii"))
    state = FieldState(
        name, 1, tuple(shape), np.dtype(np.float32), (1.0, 1.0, 1.0), source, properties=source.properties()
    )
    return state.copy(**changes)


def probabilities(scores: np.ndarray, activation: str) -> np.ndarray:
    """float32 [K, X, Y, Z] by SciPy in float64."""
    wide = scores.astype(np.float64)
    return (special.softmax(wide, axis=0) if activation == "softmax" else special.expit(wide)).astype(np.float32)


def accumulated(pipeline: Pipeline, scores: np.ndarray) -> np.ndarray:
    """The accumulator's result for scores [K, X, Y, Z]: labels, masks or the scores."""
    if pipeline.finalizer == "argmax":
        return scores.argmax(0).astype(np.uint8 if len(scores) <= 256 else np.uint16)
    if pipeline.finalizer == "masks":
        thresholds = np.array(pipeline.thresholds(len(scores)), np.float32)
        return (scores > thresholds[:, None, None, None]).astype(np.uint8)
    if pipeline.activation is not None:
        return probabilities(scores, pipeline.activation)
    return scores


BACKEND = CpuBackend()
RNG = np.random.default_rng(7)
STORED = RNG.integers(-1000, 1500, (9, 7, 5), dtype=np.int16)
AFFINE = np.diag([1.5, 0.7, 4.0, 1.0])
ARGMAX = [transform("ArgmaxAcrossChannels", fields="model")]


def load(**args: Any) -> Any:
    return transform("LoadNifti", fields="image", **args)


def prepared(*chain: Any, data: np.ndarray = STORED, affine: np.ndarray = AFFINE, **volume: Any) -> np.ndarray:
    """The model's input that a chain makes of `data`."""
    fields = Pipeline(chain, ARGMAX).prepare(volume_of(data, affine, **volume), BACKEND)
    return np.asarray(fields["image"].array)
