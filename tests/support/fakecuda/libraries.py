"""Stands in for the filters of cuCIM and CuPy, whose kernels have no host build, by scikit-image and SciPy.

Arguments are waited for and copied to the host; results are CuPy arrays from the allocator that is current.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from cudasim.libraries import undecorated


def _on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    import cupy

    def call(*args: Any, **kwargs: Any) -> Any:
        assert all(isinstance(array, cupy.ndarray) and array.flags.c_contiguous for array in args)
        assert not any(isinstance(value, np.ndarray) for value in kwargs.values()), "a footprint is on the device"
        host = {k: cupy.asnumpy(v) if isinstance(v, cupy.ndarray) else v for k, v in kwargs.items()}
        return cupy.asarray(function(*(cupy.asnumpy(array) for array in args), **host))

    return call


def modules() -> dict[str, ModuleType]:
    """The modules by name."""
    from scipy import ndimage
    from skimage import exposure, filters

    cucim: Any = ModuleType("cucim.skimage.filters")
    cucim.gaussian = _on_device(filters.gaussian)
    exposures: Any = ModuleType("cucim.skimage.exposure")
    exposures.equalize_adapthist = undecorated(_on_device(exposure.equalize_adapthist.__wrapped__))
    cupyx: Any = ModuleType("cupyx.scipy.ndimage")
    for name in ("median_filter", "binary_dilation", "binary_erosion"):
        setattr(cupyx, name, _on_device(getattr(ndimage, name)))
    return {"cucim.skimage.filters": cucim, "cucim.skimage.exposure": exposures, "cupyx.scipy.ndimage": cupyx}
