"""MetaImage (.mhd, .mha) and NRRD, with SimpleITK as the authority on the grid.

ITK mends or overlooks some broken headers (a NaN in the spacing reads as 0, a negative spacing as a flip, a
damaged .zraw as noise), so the header text is checked first, in `meta_header.py` and `nrrd_header.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import InputError
from .checks import check_geometry, narrow
from .geometry import Geometry, Shape3
from .itk_log import collected, itk_reason
from .meta_header import MetaHeader
from .nrrd_header import check_nrrd
from .volume import Volume

_GZIP_SHORT = re.compile(r"expected (\d+) bytes but received (\d+)")
_RAW_SHORT = re.compile(r"fread got only (\d+) (\d+)-sized things, not (\d+)")


def read_metaimage(path: Path) -> Volume:
    """Volume of a .mhd with its .raw or .zraw, or of an .mha; components or a fourth axis are channels.

    Raises `InputError` for what is missing, truncated, damaged or not a 3-D grid.
    """
    header = MetaHeader.read(path)
    notes = list(header.check())
    reader = _open(path, "MetaImageIO", notes)
    flat = header.voxels()
    if flat is None:  # text, or one file per slice: rare enough to leave to ITK
        return _volume(path, "metaimage", reader, _execute(reader, path, notes), notes, (path,))
    return _volume(path, "metaimage", reader, flat, notes, header.files)


def read_nrrd(path: Path) -> Volume:
    """Volume of a .nrrd; a list or vector axis is channels. Raises `InputError` as `read_metaimage` does."""
    notes = list(check_nrrd(path))
    reader = _open(path, "NrrdImageIO", notes)
    return _volume(path, "nrrd", reader, _execute(reader, path, notes), notes, (path,))


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


def _open(path: Path, image_io: str, notes: list[str]) -> Any:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        with collected(notes):
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: broken header: {itk_reason(error)}", remedy="export the volume again") from None
    return reader


def _execute(reader: Any, path: Path, notes: list[str]) -> NDArray[Any]:
    try:
        with collected(notes):
            image = reader.Execute()
    except RuntimeError as error:
        text = str(error)
        if short := _GZIP_SHORT.search(text):
            reason = f"truncated: found {short[2]} bytes of voxels, expected {short[1]}"
        elif short := _RAW_SHORT.search(text):
            found, size, expected = map(int, short.groups())
            reason = f"truncated: found {found * size} bytes of voxels, expected {expected * size}"
        else:
            reason = f"voxels cannot be read: {itk_reason(error)}"
        raise InputError(f"{path}: {reason}", remedy="copy or export it again") from None
    if image.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise InputError(f"{path}: complex voxels are not supported", remedy="save the magnitude as float32")
    return pixels(image)


def _volume(
    path: Path, kind: str, reader: Any, flat: NDArray[Any], notes: list[str], files: tuple[Path, ...]
) -> Volume:
    geometry, frames = grid(reader, path)
    components = int(reader.GetNumberOfComponents())
    if frames > 1 and components > 1:
        raise InputError(
            f"{path}: {frames} volumes of {components} components, expected one axis of channels at most",
            remedy="split the file into volumes",
        )
    i, j, k = geometry.shape
    if flat.size != i * j * k * frames * components:
        raise InputError(
            f"{path}: {flat.size} values for shape {geometry.shape} with {frames * components} channels",
            remedy="repair the header or export the volume again",
        )
    # Components of a voxel lie together and are the fastest axis; a fourth axis is the slowest.
    data = (
        flat.reshape(frames, k, j, i).transpose(0, 3, 2, 1)
        if components == 1
        else (flat.reshape(k, j, i, components).transpose(3, 2, 1, 0))
    )
    data, changed = narrow(data, path)
    return Volume(data, geometry, path, kind, warnings=(*notes, *changed), files=files)
