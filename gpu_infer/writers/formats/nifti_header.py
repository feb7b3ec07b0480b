"""The header of a label map in NIfTI."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.formats.base import LabelImage
from gpu_infer.writers.formats.caret_labels import CODE, caret_labels
from gpu_infer.writers.metaimage import is_sheared

LARGEST_AXIS = 32767
"""Of NIfTI-1, whose sizes are int16; NIfTI-2 has int64."""

_INTENT_LABEL = 1002
_SCANNER = 1
_ROUNDING_MM = 1e-3
"""If float32 moves a corner of the grid by more, NIfTI-2 is written, which has float64."""


def nifti_header(image: LabelImage) -> bytes:
    """The bytes before the voxels: the header with the image's grid, and an extension with the names of labels.

    descrip is empty.
    """
    header = _own_header(image) if image.nifti is not None else _scanner_header(image)
    array, limits = image.array, np.iinfo(image.array.dtype)
    header["intent_code"] = _INTENT_LABEL
    header.set_slope_inter(1.0, 0.0)
    header["cal_max"] = float(array.max()) if array.size else 0.0
    extension = b""
    if labels := [label for value, label in image.table.described.items() if value <= limits.max]:
        content = caret_labels(labels)
        extension = np.array([len(content) + 8, CODE], "<i4").tobytes() + content
    first = header.template_dtype.itemsize + 4
    header["vox_offset"] = first + len(extension)
    has_extension = bytes([int(bool(extension)), 0, 0, 0])
    block: bytes = header.binaryblock
    return block + has_extension + extension


def needs_version_2(geometry: Geometry) -> bool:
    """Whether NIfTI-1 cannot contain the grid: an axis is too long, or float32 too coarse."""
    return max(geometry.shape) > LARGEST_AXIS or _rounding_mm(geometry) > _ROUNDING_MM


def _own_header(image: LabelImage) -> Any:
    """A header with the grid of the input's header."""
    assert image.nifti is not None
    header = _new_header(image, image.nifti.version)
    image.nifti.write_to(header)
    return header


def _scanner_header(image: LabelImage) -> Any:
    """A header with the grid in qform and sform; a sheared grid in sform alone, since qform has rotations only."""
    geometry = image.geometry
    header = _new_header(image, 2 if needs_version_2(geometry) else 1)
    header.set_xyzt_units("mm")
    if is_sheared(geometry):
        header["pixdim"][1:4] = geometry.spacing
    else:
        header.set_qform(geometry.affine, code=_SCANNER)
    header.set_sform(geometry.affine, code=_SCANNER)
    return header


def _new_header(image: LabelImage, version: int) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    header = Nifti1Header(endianness="<") if version == 1 else Nifti2Header(endianness="<")
    header.set_data_dtype(image.array.dtype)
    header.set_data_shape(image.geometry.shape)
    return header


def _rounding_mm(geometry: Geometry) -> float:
    """Largest distance of a corner from its place after the affine is rounded to float32."""
    rounded = Geometry(geometry.shape, geometry.affine.astype(np.float32).astype(np.float64))
    return float(np.linalg.norm(rounded.corners() - geometry.corners(), axis=1).max())
