"""The filters that libraries compute: one table of the pairs of functions, for the CPU and for the GPU.

A member takes one dense channel [X, Y, Z] and returns a new one. scikit-image and cuCIM compute the same function;
SciPy and CuPy do so where scikit-image has none, or has deprecated it.

A machine with a GPU may lack cuCIM. The filters that need it run on the host then: the channel is downloaded, and its
result uploaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ConfigError

FilterName = Literal["gaussian", "median", "equalize_adapthist", "dilate", "erode"]
Twin = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Filter:
    """One member.

    cpu, gpu   modules of the two functions
    function   their name
    dtype      of the channel, and of the result
    constant   arguments that never change
    cpu_bytes  bytes per voxel that a call takes on the CPU, its result among them; measured by a test
    gpu_bytes  the same on the GPU, read in the library's source: its arrays of voxels that exist at a time
    plain      the function is the one that its decorator wraps, which takes a last axis of 3 or 4 for colours
    """

    cpu: str
    gpu: str
    function: str
    dtype: str
    constant: dict[str, Any]
    cpu_bytes: int
    gpu_bytes: int
    plain: bool = False

    @property
    def scratch(self) -> int:
        """The larger of both, and a dense copy of the channel."""
        return max(self.cpu_bytes, self.gpu_bytes) + np.dtype(self.dtype).itemsize


FILTERS: dict[FilterName, Filter] = {
    # GPU: the result, and what one axis leaves for the next (cucim.skimage._vendored: _run_1d_filters)
    "gaussian": Filter(
        "skimage.filters",
        "cucim.skimage.filters",
        "gaussian",
        "float32",
        {"mode": "nearest", "truncate": 4.0, "preserve_range": True, "channel_axis": None},
        4,
        8,
    ),
    # GPU: the result; a window's voxels are in registers and local memory
    "median": Filter("scipy.ndimage", "cupyx.scipy.ndimage", "median_filter", "float32", {"mode": "nearest"}, 4, 4),
    # Both, per padded voxel: bins and their blocks (uint16), the sums (float32), and three arrays of 8 bytes around
    # take_along_axis, whose index array CuPy allocates
    "equalize_adapthist": Filter(
        "skimage.exposure", "cucim.skimage.exposure", "equalize_adapthist", "float32", {}, 34, 34, plain=True
    ),
    # GPU: the result, of one byte per voxel
    "dilate": Filter("scipy.ndimage", "cupyx.scipy.ndimage", "binary_dilation", "uint8", {}, 1, 1),
    "erode": Filter("scipy.ndimage", "cupyx.scipy.ndimage", "binary_erosion", "uint8", {"border_value": 1}, 1, 1),
}

CPU_REMEDY = "pip install 'gpu-infer[filters]'"
GPU_REMEDY = "pip install 'gpu-infer[cuda13]' (or [cuda12] for a driver of CUDA 12)"


@dataclass(frozen=True)
class FilterPlaces:
    """Where the filters of a run are computed.

    gpu      voxels are in a GPU's memory
    on_host  filters whose library is missing for that GPU, each with the reason
    """

    gpu: bool = False
    on_host: tuple[tuple[FilterName, str], ...] = ()

    def is_on_host(self, name: FilterName) -> bool:
        """Whether the channel is downloaded, and its result uploaded."""
        return self.reason(name) is not None

    def reason(self, name: FilterName) -> str | None:
        """Why the filter runs on the host; None if it does not."""
        return next((why for missing, why in self.on_host if self.gpu and missing == name), None)


ON_CPU = FilterPlaces()


@dataclass(frozen=True)
class FilterBytes:
    """What a filter takes in addition to its argument and the given result.

    here  bytes in the memory of the backend
    host  bytes in the memory of a GPU's host, if it runs there
    """

    here: int = 0
    host: int = 0


def filter_bytes(
    name: FilterName, voxels: int, places: FilterPlaces, *, work: int | None = None, tables: int = 0
) -> FilterBytes:
    """Bytes of a filter of channels with so many voxels: for one channel, since they follow each other.

    work    voxels that the library works on, if those are others: it pads the channel
    tables  bytes that it takes in addition
    """
    member, work = FILTERS[name], voxels if work is None else work
    copy = np.dtype(member.dtype).itemsize * voxels
    if not places.gpu:
        return FilterBytes(copy + member.cpu_bytes * work + tables)
    if places.is_on_host(name):
        return FilterBytes(copy, 2 * copy + member.cpu_bytes * work + tables)
    return FilterBytes(copy + member.gpu_bytes * work + tables)


def library_function(name: FilterName, twin: Twin) -> Callable[..., Any]:
    """The function of a member. Raises ConfigError, with the command that installs it, if its library is missing."""
    member = FILTERS[name]
    module = member.cpu if twin == "cpu" else member.gpu
    try:
        function: Callable[..., Any] = getattr(import_module(module), member.function)
        if member.plain:
            function = function.__wrapped__  # type: ignore[attr-defined]
    except (ImportError, AttributeError) as error:
        remedy = CPU_REMEDY if twin == "cpu" else GPU_REMEDY
        raise ConfigError(f"{module}.{member.function} cannot be imported: {error}", remedy=remedy) from error
    return function


def filters_for_host(names: Iterable[FilterName]) -> tuple[tuple[FilterName, str], ...]:
    """Those of `names` whose library for the GPU is missing, each with the reason."""
    missing: dict[FilterName, str] = {}
    for name in names:
        try:
            library_function(name, "gpu")
        except ConfigError as error:
            missing[name] = error.message
    return tuple(missing.items())


def ball(radii: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Offsets d with Σ (d / r)² ≤ 1: an ellipsoid with half axes `radii` in voxels; flat along an axis of 0."""
    sizes = [int(r * (1 + 1e-9)) for r in radii]
    grids = np.ogrid[tuple(slice(-n, n + 1) for n in sizes)]
    distance = sum((grid / (r or 1.0)) ** 2 for grid, r in zip(grids, radii, strict=True))
    inside: NDArray[np.bool_] = np.asarray(distance) <= 1 + 1e-9
    return inside
