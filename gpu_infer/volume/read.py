"""Read a volume of any format: the header first, then the voxels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume.checks import check_finite_voxels, narrow
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import check_exists, extension
from gpu_infer.volume.volume import Volume

logger = logging.getLogger(__name__)

_SAME_GRID_MM = 1e-3


def read_volume(path: Path, *, allow_foreign: bool = False) -> Volume:
    """Volume of a .nii, .nii.gz, .hdr/.img, .mhd, .mha, .nrrd or .nhdr file, or of a folder with one DICOM series.

    Voxels stay in stored dtype and index order. Warnings are logged and kept in the volume. Raises
    `InputError`. `allow_foreign` as in `read_header`.
    """
    return read_voxels(read_header([path], allow_foreign=allow_foreign))


def read_volumes(paths: Sequence[Path], *, allow_foreign: bool = False) -> Volume:
    """The channels of several files, in order, as one volume; as `read_header` and `read_voxels`."""
    return read_voxels(read_header(paths, allow_foreign=allow_foreign))


def read_header(paths: Sequence[Path], *, allow_foreign: bool = False) -> VolumeHeader:
    """What is known of the channels of one or several files without their voxels.

    Path, format and geometry are the first file's. Grids must agree within 1e-3 mm at every corner. Where dtype, slope
    or inter differ, values in physical units are read as float32, with a warning. The files that hold the voxels exist
    and are long enough. Warnings are logged.

    allow_foreign  data files that a header names may lie outside its folder

    Raises `InputError`.
    """
    if not paths:
        raise InputError("no input file given", remedy="name at least one volume")
    headers = [_header(path, allow_foreign) for path in paths]
    for header in headers:
        for warning in header.warnings:
            logger.warning("%s: %s", header.path, warning)
    return headers[0] if len(headers) == 1 else _stack(headers)


def read_voxels(header: VolumeHeader, *, nan: float | None = None) -> Volume:
    """The volume of a header.

    nan  value in physical units that takes the place of voxels that are NaN or infinite; None: they stay, with a
         warning

    Raises `InputError`, and `ResourceError` without memory.
    """
    remarks: list[str] = []
    try:
        data, changed = narrow(header.load(remarks), header.path)
    except MemoryError:
        raise ResourceError(
            f"{header.path}: no memory for {(header.nbytes + header.extra) / 2**20:.0f} MiB of voxels",
            remedy="free memory or crop the volume",
        ) from None
    stored = None if nan is None else (nan - header.inter) / header.slope
    count, notes = check_finite_voxels(data, nan, stored)
    new = (*remarks, *changed, *notes)
    for warning in new:
        logger.warning("%s: %s", header.path, warning)
    return Volume(
        data=data,
        geometry=header.geometry,
        path=header.path,
        format=header.format,
        slope=header.slope,
        inter=header.inter,
        warnings=(*header.warnings, *new),
        files=header.files,
        not_finite=count,
    )


def _header(path: Path, allow_foreign: bool) -> VolumeHeader:
    # The readers' libraries take a while to import; a run needs one of them.
    check_exists(path)
    if path.is_dir():
        return _dicom(path)
    kind = extension(path)
    if kind is None:
        raise InputError(f"{path}: unsupported extension", remedy="convert the volume to .nii.gz, .mhd or .nrrd")
    if kind in (".mhd", ".mha"):
        from gpu_infer.volume.formats.metaimage import metaimage_header

        return metaimage_header(path, allow_foreign=allow_foreign)
    if kind in (".nrrd", ".nhdr"):
        from gpu_infer.volume.formats.nrrd import nrrd_header

        return nrrd_header(path, allow_foreign=allow_foreign)
    from gpu_infer.volume.formats.nifti import nifti_header

    return nifti_header(path, allow_foreign=allow_foreign)


def _dicom(folder: Path) -> VolumeHeader:
    from gpu_infer.volume.formats.dicom.series import read_series

    series = read_series(folder)
    return VolumeHeader(
        geometry=series.geometry,
        channels=1,
        dtype=series.dtype,
        path=folder,
        files=series.files,
        format="dicom",
        load=series.load,
        warnings=series.warnings,
        extra=series.extra,
    )


def _stack(headers: list[VolumeHeader]) -> VolumeHeader:
    """One header for the channels of several files."""
    first = headers[0]
    for other in headers[1:]:
        _check_same_grid(first, other)
    notes = [f"{h.path.name}: {w}" for h in headers for w in h.warnings]
    alike = all((h.dtype, h.slope, h.inter) == (first.dtype, first.slope, first.inter) for h in headers)
    dtype, slope, inter = first.dtype, first.slope, first.inter
    if not alike:
        notes.append("the files differ in dtype or scaling: kept as float32 in physical units")
        logger.warning("%s and others: %s", first.path, notes[-1])
        dtype, slope, inter = np.dtype(np.float32), 1.0, 0.0
    channels = sum(h.channels for h in headers)

    def load(remarks: list[str]) -> NDArray[Any]:
        i, j, k = first.geometry.shape
        data = np.empty((channels, k, j, i), dtype).transpose(0, 3, 2, 1)
        at = 0
        for header in headers:
            own: list[str] = []
            values, changed = narrow(header.load(own), header.path)
            remarks += [f"{header.path.name}: {w}" for w in (*own, *changed)]
            if alike and values.dtype != dtype:
                raise InputError(
                    f"{header.path}: values do not fit {dtype}, expected the same type in all files",
                    remedy="save the volumes as int32 or float32",
                )
            part = data[at : at + header.channels]
            part[...] = values if alike else values * np.float64(header.slope) + header.inter
            at += header.channels
        return data

    return replace(
        first,
        channels=channels,
        dtype=dtype,
        slope=slope,
        inter=inter,
        warnings=tuple(notes),
        files=tuple(file for h in headers for file in h.files),
        load=load,
        extra=max(h.nbytes + h.extra for h in headers),
    )


def _check_same_grid(first: VolumeHeader, other: VolumeHeader) -> None:
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
