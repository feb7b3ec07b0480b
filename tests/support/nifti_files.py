"""NIfTI files for tests: written by nibabel, or with header fields that no library would write."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[-0.7, 0.1, 0, 10], [0.05, 1.1, -0.2, -20], [0, 0.3, 2.5, 30], [0, 0, 0, 1]])


def voxels(shape: tuple[int, ...], dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(1).integers(0, 100, shape).astype(dtype)


def save(path: Path, data: np.ndarray, *, kind: type = nib.Nifti1Image, **fields: object) -> Path:
    """A file written by nibabel; `fields` are put into the header afterwards, past all its checks."""
    header = kind.header_class()
    header.set_data_dtype(data.dtype)
    image = kind(data, AFFINE, header)
    for key, value in fields.items():
        image.header[key] = value
    image.to_filename(path)
    return path


def patched(path: Path, data: np.ndarray, **fields: object) -> Path:
    """A NIfTI-1 .nii whose header fields are overwritten in the bytes: what no library would write."""
    save(path, data)
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(raw, nib.Nifti1Header.template_dtype, count=1)
    for key, value in fields.items():
        header[key] = value
    path.write_bytes(raw)
    return path
