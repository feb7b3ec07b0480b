"""Stands in for cuCIM and cupyx by scikit-image and SciPy: results are made by the allocator that is current."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from cudasim.arrays import ndarray

_allocators: list[Callable[[int], Any]] = []


@contextmanager
def using_allocator(allocator: Callable[[int], Any]) -> Iterator[None]:
    """`cupy.cuda.using_allocator`."""
    _allocators.append(allocator)
    try:
        yield
    finally:
        _allocators.pop()


def _on_device(function: Callable[..., Any]) -> Callable[..., ndarray]:
    def call(*args: Any, **kwargs: Any) -> ndarray:
        assert all(isinstance(array, ndarray) and array.flags.c_contiguous for array in args)
        assert not any(isinstance(value, np.ndarray) for value in kwargs.values()), "a footprint is on the device"
        host = {k: v._host if isinstance(v, ndarray) else v for k, v in kwargs.items()}
        result = function(*(array._host for array in args), **host)
        made = ndarray(result.shape, result.dtype, _allocators[-1](result.nbytes))
        made._host[...] = result
        return made

    return call


def undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that may only be called without its decorator."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a last axis of 3 or 4 would be taken for colours")

    decorated.__wrapped__ = function  # type: ignore[attr-defined]
    return decorated


def modules() -> dict[str, Any]:
    """The modules by name."""
    from scipy import ndimage
    from skimage import exposure, filters

    cucim: Any = ModuleType("cucim.skimage.filters")
    cucim.gaussian = _on_device(filters.gaussian)
    exposures: Any = ModuleType("cucim.skimage.exposure")
    exposures.equalize_adapthist = undecorated(_on_device(exposure.equalize_adapthist.__wrapped__))
    cupyx: Any = ModuleType("cupyx.scipy.ndimage")
    cupyx.median_filter = _on_device(ndimage.median_filter)
    cupyx.binary_dilation = _on_device(ndimage.binary_dilation)
    cupyx.binary_erosion = _on_device(ndimage.binary_erosion)
    return {"cucim.skimage.filters": cucim, "cucim.skimage.exposure": exposures, "cupyx.scipy.ndimage": cupyx}
