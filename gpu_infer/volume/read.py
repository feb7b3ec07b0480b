"""Read a volume of any format: the header first, then the voxels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.system.preload import preload
from gpu_infer.volume.checks import Voxels, check_finite_voxels, convert_voxels
from gpu_infer.volume.file_state import file_states
from gpu_infer.volume.follower import NO_FOLLOWER, Follower
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import check_exists, extension, header_file
from gpu_infer.volume.volume import Volume

if TYPE_CHECKING:
    from gpu_infer.volume.formats.dicom.series import Series

log = logging.getLogger(__name__)

_SAME_GRID_MM = 1e-3  # at the corners of the volume


def read_volume(path: Path, *, allow_foreign: bool = False) -> Volume:
    """Read a .nii, .nii.gz, .hdr/.img, .mhd, .mha, .nrrd or .nhdr file, or a folder with one DICOM series.

    Voxels keep their stored dtype and index order. Warnings are logged and stored in the volume.

    Args:
        path: the file or the folder.
        allow_foreign: as in `read_header`.

    Raises:
        InputError: the volume is missing, damaged or not supported.
        ResourceError: there is no memory for its voxels.
    """
    return read_voxels(read_header([path], allow_foreign=allow_foreign))


def read_header(paths: Sequence[Path], *, allow_foreign: bool = False) -> VolumeHeader:
    """Read the headers of one or several files, whose channels become one volume.

    Path, format and geometry are those of the first file. Grids must agree within 1e-3 mm at every corner. If dtype,
    slope or inter differ, the voxels will be float32 in physical units, with a warning. The files with the voxels are
    checked to exist and to be long enough. Warnings are logged.

    Args:
        paths: files or folders, as `read_volume` reads them.
        allow_foreign: data files that a header names may be outside its folder.

    Raises:
        InputError: a volume is missing, damaged or not supported, or the grids differ.
    """
    if not paths:
        raise InputError("no input file given", remedy="name at least one volume")
    headers = [_header(path, allow_foreign) for path in paths]
    for header in headers:
        _log_warnings(header)
    return headers[0] if len(headers) == 1 else _stack(headers)


def series_header(series: Series, folder: Path) -> VolumeHeader:
    """Return the header of a DICOM series whose slices are in `folder` or below. Warnings are logged."""
    header = _from_series(series, folder)
    _log_warnings(header)
    return header


def read_voxels(header: VolumeHeader, *, nan: float | None = None, follower: Follower = NO_FOLLOWER) -> Volume:
    """Read the voxels of a header.

    Args:
        header: from `read_header`.
        nan: value in physical units that replaces voxels that are NaN or infinite; None: they stay, with a warning.
        follower: learns how far the voxels are read, if none of them will be converted or replaced.

    Raises:
        InputError: the voxels are damaged, or a file has changed since its header was read.
        ResourceError: there is no memory for them.
    """
    remarks: list[str] = []
    if nan is not None and header.dtype.kind == "f":
        follower = NO_FOLLOWER
    header.check_unchanged()
    try:
        data, conversions = convert_voxels(header.load(remarks, follower), header.path)
    except InputError:
        header.check_unchanged()  # rather than damage, which a change looks like
        raise
    except MemoryError:
        raise ResourceError(
            f"{header.path}: no memory for {(header.nbytes + header.extra) / 2**20:.0f} MiB of voxels",
            remedy="free memory or crop the volume",
        ) from None
    header.check_unchanged()
    stored = None if nan is None else (nan - header.inter) / header.slope
    count, notes = check_finite_voxels(data, nan, stored)
    new = (*remarks, *conversions, *notes)
    for warning in new:
        log.warning("%s: %s", header.path, warning)
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


def _log_warnings(header: VolumeHeader) -> None:
    for warning in header.warnings:
        log.warning("%s: %s", header.path, warning)


def _header(path: Path, allow_foreign: bool) -> VolumeHeader:
    # Imported late: the libraries of the readers are slow to import, and a run needs only one reader.
    check_exists(path)
    if path.is_dir():
        return _dicom(path)
    kind = extension(path)
    if kind is None:
        raise InputError(f"{path}: unsupported extension", remedy="convert the volume to .nii.gz, .mhd or .nrrd")
    before = file_states([header_file(path)])
    header = _file_header(path, kind, allow_foreign)
    return replace(header, states=file_states(header.files) | before)


def _file_header(path: Path, kind: str, allow_foreign: bool) -> VolumeHeader:
    if kind in (".mhd", ".mha"):
        from gpu_infer.volume.formats.metaimage import metaimage_header

        return metaimage_header(path, allow_foreign=allow_foreign)
    if kind in (".nrrd", ".nhdr"):
        from gpu_infer.volume.formats.nrrd import nrrd_header

        return nrrd_header(path, allow_foreign=allow_foreign)
    preload("nibabel", without=["pydicom"])
    from gpu_infer.volume.formats.nifti import nifti_header

    return nifti_header(path, allow_foreign=allow_foreign)


def _dicom(folder: Path) -> VolumeHeader:
    from gpu_infer.volume.formats.dicom.series import read_series

    return _from_series(read_series(folder), folder)


def _from_series(series: Series, folder: Path) -> VolumeHeader:
    return VolumeHeader(
        geometry=series.geometry,
        channels=1,
        dtype=series.dtype,
        path=folder,
        files=series.files,
        format="dicom",
        load=series.load,
        warnings=series.warnings,
        states=series.states,
        extra=series.extra,
        index_space=series.index_space,
    )


def _stack(headers: list[VolumeHeader]) -> VolumeHeader:
    """Make one header for the channels of several files."""
    first = headers[0]
    for other in headers[1:]:
        _check_same_grid(first, other)
    notes = [f"{h.path.name}: {w}" for h in headers for w in h.warnings]
    alike = all((h.dtype, h.slope, h.inter) == (first.dtype, first.slope, first.inter) for h in headers)
    dtype, slope, inter = first.dtype, first.slope, first.inter
    if not alike:
        notes.append("the files differ in dtype or scaling: kept as float32 in physical units")
        log.warning("%s and others: %s", first.path, notes[-1])
        dtype, slope, inter = np.dtype(np.float32), 1.0, 0.0
    channels = sum(h.channels for h in headers)

    def load(remarks: list[str], follower: Follower) -> Voxels:
        i, j, k = first.geometry.shape
        memory = np.empty((channels, k, j, i), dtype)
        follower.begin(memory.reshape(-1).view(np.uint8))
        data = memory.transpose(0, 3, 2, 1)
        at = 0
        for header in headers:
            warnings: list[str] = []
            values, conversions = convert_voxels(header.load(warnings, NO_FOLLOWER), header.path)
            remarks += [f"{header.path.name}: {w}" for w in (*warnings, *conversions)]
            if alike and values.dtype != dtype:
                raise InputError(
                    f"{header.path}: values do not fit {dtype}, expected the same type in all files",
                    remedy="save the volumes as int32 or float32",
                )
            part = data[at : at + header.channels]
            part[...] = values if alike else values * np.float64(header.slope) + header.inter
            at += header.channels
            follower.advance(memory[:at].nbytes)
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
        states={path: state for h in headers for path, state in h.states.items()},
        extra=max(h.nbytes + h.extra for h in headers),
    )


def _check_same_grid(first: VolumeHeader, other: VolumeHeader) -> None:
    if first.geometry.shape != other.geometry.shape:
        raise InputError(
            f"{other.path}: shape {other.geometry.shape}, expected {first.geometry.shape} as in {first.path}",
            remedy="resample the files to one grid",
        )
    distance_mm = np.linalg.norm(first.geometry.corners() - other.geometry.corners(), axis=1).max()
    if distance_mm > _SAME_GRID_MM:
        raise InputError(
            f"{other.path}: affine differs from {first.path} by {distance_mm:.3g} mm at the corners",
            remedy="resample the files to one grid",
        )
