"""The filters that libraries compute: one table of the pairs of functions, for the CPU and for the GPU.

A member takes one dense channel [X, Y, Z] and returns a new one. scikit-image and cuCIM compute the same function;
SciPy and CuPy do so where scikit-image has none, or has deprecated it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ConfigError

FilterName = Literal["gaussian", "median", "dilate", "erode"]


@dataclass(frozen=True)
class Filter:
    """One member.

    cpu, gpu  modules of the two functions
    function  their name
    dtype     of the channel, and of the result
    constant  arguments that never change
    scratch   bytes per voxel that a call takes in addition to its argument and the given result, its own result among
              them; the larger of both twins
    """

    cpu: str
    gpu: str
    function: str
    dtype: str
    constant: dict[str, Any]
    scratch: int


FILTERS: dict[FilterName, Filter] = {
    "gaussian": Filter(
        "skimage.filters",
        "cucim.skimage.filters",
        "gaussian",
        "float32",
        {"mode": "nearest", "truncate": 4.0, "preserve_range": True},
        12,
    ),
    "median": Filter("scipy.ndimage", "cupyx.scipy.ndimage", "median_filter", "float32", {"mode": "nearest"}, 4),
    "dilate": Filter("scipy.ndimage", "cupyx.scipy.ndimage", "binary_dilation", "uint8", {}, 4),
    "erode": Filter("scipy.ndimage", "cupyx.scipy.ndimage", "binary_erosion", "uint8", {"border_value": 1}, 4),
}

CPU_REMEDY = "pip install 'gpu-infer[filters]'"
GPU_REMEDY = "pip install 'gpu-infer[cucim13]' (or [cucim12] for CuPy of CUDA 12), or run with --device cpu"


def library_function(name: FilterName, twin: Literal["cpu", "gpu"]) -> Callable[..., Any]:
    """The function of a member. Raises ConfigError, with the command that installs it, if its library is missing."""
    member = FILTERS[name]
    module = member.cpu if twin == "cpu" else member.gpu
    try:
        function: Callable[..., Any] = getattr(import_module(module), member.function)
    except ImportError as error:
        remedy = CPU_REMEDY if twin == "cpu" else GPU_REMEDY
        raise ConfigError(f"{module}.{member.function} cannot be imported: {error}", remedy=remedy) from error
    return function


def ball(radii: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Offsets d with Σ (d / r)² ≤ 1: an ellipsoid with half axes `radii` in voxels."""
    sizes = [int(r * (1 + 1e-9)) for r in radii]
    grids = np.ogrid[tuple(slice(-n, n + 1) for n in sizes)]
    distance = sum((grid / r) ** 2 for grid, r in zip(grids, radii, strict=True))
    inside: NDArray[np.bool_] = np.asarray(distance) <= 1 + 1e-9
    return inside
