"""An image of SimpleITK as geometry and an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import InputError
from .checks import check_geometry
from .geometry import Geometry, Shape3


def grid(source: Any, path: Path) -> tuple[Geometry, int]:
    """Geometry and length of the fourth axis (1: none) of an image, or of a reader that knows the header."""
    size, direction = source.GetSize(), np.asarray(source.GetDirection())
    dims = len(size)
    matrix = direction.reshape(dims, dims)
    if dims == 4 and not (matrix[3, :3].any() or matrix[:3, 3].any()):
        matrix = matrix[:3, :3]
    elif dims != 3:
        raise InputError(
            f"{path}: {dims}-D file: found shape {tuple(size)}, expected three axes of space (and channels)",
            remedy="give a volume, not a single image" if dims < 3 else "split the file into volumes",
        )
    shape: Shape3 = (size[0], size[1], size[2])
    geometry = Geometry.from_itk(shape, source.GetSpacing()[:3], source.GetOrigin()[:3], tuple(matrix.ravel()))
    check_geometry(geometry, path)
    return geometry, size[3] if dims == 4 else 1


def pixels(image: Any) -> NDArray[Any]:
    """Writable array over an image's own buffer, in its memory order, that keeps the image alive."""
    image.MakeUnique()
    return np.asarray(_Buffer(image))


class _Buffer:
    def __init__(self, image: Any) -> None:
        self._image = image
        view = sitk.GetArrayViewFromImage(image)
        self.__array_interface__ = {**view.__array_interface__, "data": (view.ctypes.data, False)}
