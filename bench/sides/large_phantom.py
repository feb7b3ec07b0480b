"""A phantom that is larger than memory, most of it holes of the file, and the comparison of its labels."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.gzip_member import write_member
from gpu_infer.writers.metaimage import format_fields, header_fields

LEVEL = 500
"""Voxels above it are the foreground."""

_SLICES = 8
_BLOCK = 1 << 24
Shape = tuple[int, int, int]


def make_phantom(path: Path, shape: Shape) -> Path:
    """Write a phantom of balls of value 1000, and of slices full of noise; the rest is holes of the file.

    A .nii.gz is compressed from a .nii, which is removed.
    """
    if path.suffix == ".gz":
        plain = make_phantom(path.with_suffix(""), shape)
        with plain.open("rb") as source, path.open("wb") as target:
            write_member(target, iter(lambda: source.read(_BLOCK), b""), "phantom")
        plain.unlink()
        return path
    geometry = Geometry(shape, np.diag([-0.1, -0.1, 0.1, 1.0]))
    start = 0
    if path.suffix == ".mhd":
        fields = header_fields(geometry, np.dtype(np.uint16), f"{path.stem}.raw", path.name)
        path.write_text(format_fields(fields), encoding="utf-8")
    else:
        header: Any = Nifti1Header() if max(shape) < 1 << 15 else Nifti2Header()
        header.set_data_dtype(np.uint16)
        header.set_data_shape(shape)
        header.set_sform(geometry.affine, code=1)
        header["vox_offset"] = start = header.template_dtype.itemsize + 4
        header["pixdim"][1:4] = geometry.spacing
        path.write_bytes(header.binaryblock + bytes(4))
    rng = np.random.default_rng(5)
    x, y, z = shape
    radius = max(min(shape) // 40, 2)
    i, j = (np.arange(n, dtype=np.int64) for n in (x, y))
    with data_file(path).open("r+b" if path.suffix == ".nii" else "w+b") as file:
        file.truncate(start + x * y * z * 2)
        for k in range(z):
            # balls of one layer have their centres in one slice; most slices have none, and take no disk
            middle = k - k % (16 * radius) + 2 * radius
            inside = radius**2 - (k - middle) ** 2
            if k % 97 == 5:
                plane = rng.integers(0, 1000, (y, x)).astype(np.uint16)
            elif inside <= 0:
                continue
            else:
                shift = middle % 7
                near = [(n + shift) % (4 * radius) - 2 * radius for n in (i, j)]
                plane = np.where(near[1][:, None] ** 2 + near[0][None] ** 2 < inside, 1000, 0).astype(np.uint16)
            file.seek(start + k * x * y * 2)
            file.write(plane.tobytes())
    return path


def compare(volume: Path, labels: Path, shape: Shape) -> int:
    """Number of voxels whose label is not that of a threshold on the voxel."""
    x, y, z = shape
    wrong = ones = 0
    with _open_voxels(volume) as values, _open_voxels(labels) as written:
        for k in range(0, z, _SLICES):
            count = min(_SLICES, z - k) * x * y
            expected = _read(values, count, np.uint16) > LEVEL
            label = _read(written, count, np.uint8)
            wrong += int((expected != label).sum())
            ones += int(expected.sum())
    assert ones, "the phantom is empty"
    return wrong


def data_file(path: Path) -> Path:
    """The file with the voxels."""
    return path.with_suffix(".raw") if path.suffix == ".mhd" else path


def _open_voxels(path: Path) -> Any:
    """The file with the voxels at its first voxel, decompressed."""
    if path.suffix == ".mhd":
        return data_file(path).open("rb")
    file: Any = gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115 - the caller closes it
    file.seek(int(nib.load(path).dataobj.offset))
    return file


def _read(file: Any, count: int, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)
