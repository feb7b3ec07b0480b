"""NIfTI-1 files for the viewer: the header from a grid, the voxels slab by slab."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.volume.geometry import Geometry

LABEL_INTENT = 1002
"""NIFTI_INTENT_LABEL: without it the viewer paints the background of long label tables."""


HEADER_BYTES = 352
"""Before the voxels."""


def nifti_header(
    geometry: Geometry, dtype: DTypeLike, *, slope: float = 1.0, inter: float = 0.0, labels: bool = False
) -> bytes:
    """Return the `HEADER_BYTES` before the voxels of a single-file NIfTI-1.

    The affine goes into the sform in float32, as the format has it.
    """
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(geometry.shape)
    header.set_sform(geometry.affine, code=1)
    header["qform_code"] = 0
    header["pixdim"][1:4] = geometry.spacing
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = slope, inter
    header["vox_offset"], header["magic"] = HEADER_BYTES, b"n+1"
    if labels:
        header["intent_code"] = LABEL_INTENT
    return bytes(header.binaryblock) + b"\0\0\0\0"
