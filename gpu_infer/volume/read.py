"""One door to all readers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from .checks import not_finite
from .choose import extension
from .volume import Volume

logger = logging.getLogger(__name__)

_SAME_GRID_MM = 1e-3


def read_volume(path: Path) -> Volume:
    """Volume of a .nii, .nii.gz, .hdr/.img, .mhd, .mha or .nrrd file, or of a folder with one DICOM series.

    Voxels stay in stored dtype and index order. Warnings are logged and kept in the volume. Raises
    `InputError`.
    """
    volume = _read(path)
    if notes := not_finite(volume.data):
        volume = replace(volume, warnings=(*volume.warnings, *notes))
    for warning in volume.warnings:
        logger.warning("%s: %s", path, warning)
    return volume


def read_volumes(paths: Sequence[Path]) -> Volume:
    """The channels of several files, in order, as one volume; path, format and geometry are the first file's.

    Grids must agree within 1e-3 mm at every corner. Where dtype, slope or inter differ, values in physical
    units are kept as float32, with a warning. Raises `InputError`.
    """
    if not paths:
        raise InputError("no input file given", remedy="name at least one volume")
    volumes = [read_volume(path) for path in paths]
    first = volumes[0]
    if len(volumes) == 1:
        return first
    for other in volumes[1:]:
        _check_same_grid(first, other)
    notes = [f"{v.path.name}: {w}" for v in volumes for w in v.warnings]
    slope, inter = first.slope, first.inter
    dtype = first.data.dtype
    alike = all(v.data.dtype == dtype and (v.slope, v.inter) == (slope, inter) for v in volumes)
    if not alike:
        notes.append("the files differ in dtype or scaling: kept as float32 in physical units")
        logger.warning("%s and others: %s", first.path, notes[-1])
        dtype, slope, inter = np.dtype(np.float32), 1.0, 0.0
    i, j, k = first.geometry.shape
    data = np.empty((sum(v.channels for v in volumes), k, j, i), dtype).transpose(0, 3, 2, 1)
    at = 0
    for volume in volumes:
        part = data[at : at + volume.channels]
        part[...] = volume.data if alike else volume.data * np.float64(volume.slope) + volume.inter
        at += volume.channels
    files = tuple(file for v in volumes for file in v.files)
    return replace(first, data=data, slope=slope, inter=inter, warnings=tuple(notes), files=files)


def _read(path: Path) -> Volume:
    # The readers' libraries take a while to import; a run needs one of them.
    if path.is_dir():
        from .dicom import read_dicom

        return read_dicom(path)
    kind = extension(path)
    if kind is None:
        raise InputError(f"{path}: unsupported extension", remedy="convert the volume to .nii.gz, .mhd or .nrrd")
    if not path.exists():
        raise InputError(f"{path}: no such file", remedy="check the input path")
    if kind in (".mhd", ".mha"):
        from .itk import read_metaimage

        return read_metaimage(path)
    if kind == ".nrrd":
        from .itk import read_nrrd

        return read_nrrd(path)
    from .nifti import read_nifti

    return read_nifti(path)


def _check_same_grid(first: Volume, other: Volume) -> None:
    if first.geometry.shape != other.geometry.shape:
        raise InputError(
            f"{other.path}: shape {other.geometry.shape}, expected {first.geometry.shape} as in {first.path}",
            remedy="resample the files to one grid",
        )
    apart = np.linalg.norm(first.geometry.corners() - other.geometry.corners(), axis=1).max()
    if apart > _SAME_GRID_MM:
        raise InputError(
            f"{other.path}: affine differs from {first.path} by {apart:.3g} mm at the corners",
            remedy="resample the files to one grid",
        )
