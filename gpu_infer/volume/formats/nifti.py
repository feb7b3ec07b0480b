"""NIfTI-1 and NIfTI-2, single files (.nii, .nii.gz) and .hdr/.img pairs.

nibabel parses and checks the header and chooses the affine (sform, else qform, else a centred one). This module reads
the voxels, in their stored dtype and with the first axis fastest in memory; it never scales them.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Literal

import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import DType, Voxels, check_geometry, conversion_bytes, memory_dtype
from gpu_infer.volume.files import data_file
from gpu_infer.volume.follower import Follower
from gpu_infer.volume.formats.spans import read_head
from gpu_infer.volume.formats.stored import StoredVoxels
from gpu_infer.volume.geometry import Affine, Geometry, Shape3
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.nifti_grid import NiftiGrid

_HEADER_BYTES = 540  # NIfTI-2's; NIfTI-1 needs the first 348 of them
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_FORMS_AGREE_MM = 1e-3
_MAX_OFFSET = 2.0**62
_CIFTI_INTENTS = range(3000, 3100)
_KINDS = (Nifti1Header, Nifti1PairHeader, Nifti2Header, Nifti2PairHeader)


def nifti_header(path: Path, *, allow_foreign: bool = False) -> VolumeHeader:
    """Read the header of a NIfTI file, with one channel per entry of the fourth axis.

    slope and inter are the header's scl_slope and scl_inter, or 1 and 0 if scl_slope is 0 or NaN. Metres and microns
    are converted to mm. Raises `InputError` for damaged files and for those that are not supported: fewer than three
    axes, more than one axis of channels, RGB, complex, CIFTI-2 and Analyze files, zero spacing, voxels inside the
    header, truncation.
    """
    notes: list[str] = []
    header = _header(path, notes)
    shape, channels = _shape(header, path)
    dtype = _dtype(header, path)
    with np.errstate(all="ignore"):  # numbers that overflow are refused in the next line
        geometry = Geometry(shape, _affine(header, shape, path, notes))
    check_geometry(geometry, path)
    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError:
        raise InputError(
            f"{path}: scl_slope {header['scl_slope']}, scl_inter {header['scl_inter']}, expected numbers",
            remedy="repair the header's scaling",
        ) from None
    if channels < 1:
        raise InputError(f"{path}: {channels} channels, expected at least one", remedy="export the volume again")
    stored = _stored_voxels(path, header, dtype, math.prod(shape) * channels, allow_foreign)
    stored.check()

    def load(remarks: list[str], follower: Follower) -> Voxels:
        # The first axis is the fastest in the file, channels are the slowest.
        return stored.read(remarks, follower).reshape(channels, shape[2], shape[1], shape[0]).transpose(0, 3, 2, 1)

    return VolumeHeader(
        geometry,
        channels,
        memory_dtype(dtype, path),
        path,
        _files(path),
        "nifti",
        load,
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        warnings=tuple(notes),
        extra=conversion_bytes(dtype, stored.count),
        nifti=NiftiGrid.of_header(header, 2 if isinstance(header, Nifti2Header) else 1),
        stored=stored if channels == 1 else None,
    )


def _files(path: Path) -> tuple[Path, ...]:
    """Return the header file and the file with the voxels, or the single file that has both."""
    pair = {".hdr": ".img", ".img": ".hdr"}.get(path.suffix.lower())
    if pair is None:
        return (path,)
    other = path.with_suffix(pair if path.suffix.islower() else pair.upper())
    return (path, other) if pair == ".img" else (other, path)


def _header(path: Path, notes: list[str]) -> Nifti1Header:
    source = _files(path)[0]
    block = _head(source)
    for kind in _KINDS:
        if kind.may_contain_header(block):
            break
    else:
        analyze = source.suffix.lower() == ".hdr" and len(block) >= 348
        raise InputError(
            f"{source}: {'Analyze' if analyze else 'unknown'} header, expected NIfTI-1 or NIfTI-2",
            remedy="convert the volume to .nii.gz",
        )
    paired = kind in (Nifti1PairHeader, Nifti2PairHeader)
    if paired and len(_files(path)) == 1:
        raise InputError(f"{path}: header of a .hdr/.img pair under a single file's name", remedy="rename the pair")
    try:
        header = kind(block[: kind.template_dtype.itemsize], check=False)
        _check_offset(header, source, single=len(_files(path)) == 1)
        zooms = np.array(header["pixdim"][1:4], dtype=np.float64)
        header.check_fix(logger=_collector(notes), error_level=40)
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise InputError(f"{source}: broken NIfTI header: {_plain(error)}", remedy="export the volume again") from None
    _check_zooms(zooms, header, source)
    if int(header["intent_code"]) in _CIFTI_INTENTS:
        raise InputError(f"{path}: a CIFTI-2 file holds surfaces, expected a volume", remedy="give the volume itself")
    return header


def _head(path: Path) -> bytes:
    """Read the first bytes of a plain or compressed file."""
    head = read_head(path, _HEADER_BYTES, compressed=path.suffix.lower() == ".gz")
    if len(head) < 348:
        raise InputError(
            f"{path}: truncated: found {len(head)} bytes of header, expected 348",
            remedy="copy or export it again",
        )
    return head


def _check_offset(header: Nifti1Header, path: Path, *, single: bool) -> None:
    """Refuse voxels that start in the header, or in a single file in the four bytes that announce extensions."""
    offset = float(header["vox_offset"])
    first = header.template_dtype.itemsize + 4 if single else 0
    if not math.isfinite(offset) or offset < first or offset % 1 or offset > _MAX_OFFSET:
        raise InputError(
            f"{path}: vox_offset {offset:g}, expected a whole number of bytes from {first}",
            remedy="repair vox_offset in the header or export the volume again",
        )


def _check_zooms(zooms: NDArray[np.float64], header: Nifti1Header, path: Path) -> None:
    """Refuse spacing that nibabel would correct: 0 becomes 1 there, and a negative one its absolute value."""
    zooms = zooms[: max(int(header["dim"][0]), 0)]
    placed_by_zooms = int(header["sform_code"]) <= 0
    if (zooms == 0).any() or (placed_by_zooms and (zooms < 0).any()):
        raise InputError(
            f"{path}: spacing (pixdim) is {tuple(zooms.tolist())} mm, expected positive numbers",
            remedy="repair pixdim in the header",
        )


def _shape(header: Nifti1Header, path: Path) -> tuple[Shape3, int]:
    shape = tuple(int(n) for n in header.get_data_shape())
    if len(shape) < 3:
        raise InputError(
            f"{path}: 2-D file: found shape {shape}, expected three axes",
            remedy="give a volume, not a single image",
        )
    channel_axes = [n for n in shape[3:] if n != 1]
    if len(channel_axes) > 1:
        raise InputError(
            f"{path}: shape {shape}, expected the three axes of space and at most one of channels",
            remedy="split the file into volumes",
        )
    return (shape[0], shape[1], shape[2]), channel_axes[0] if channel_axes else 1


def _dtype(header: Nifti1Header, path: Path) -> DType:
    try:
        dtype: DType = header.get_data_dtype()
    except HeaderDataError as error:
        raise InputError(f"{path}: {_plain(error)}", remedy="save the volume as int16 or float32") from None
    if dtype.names or dtype.kind not in "iuf":
        name = "RGB" if dtype.names else dtype.name
        raise InputError(
            f"{path}: voxel type {name} (datatype {int(header['datatype'])}), expected real numbers",
            remedy="save the volume as int16 or float32",
        )
    return dtype


def _affine(header: Nifti1Header, shape: Shape3, path: Path, notes: list[str]) -> Affine:
    try:
        affine = np.array(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"{path}: broken orientation: {_plain(error)}", remedy="repair qform and sform") from None
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if sform > 0 and qform > 0:
        _compare_forms(header, affine, shape, notes)
    elif sform <= 0 and qform <= 0:
        notes.append(
            "neither qform nor sform is set: grid centred on the origin, spacing from pixdim, first axis "
            "from right to left"
        )
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = "unknown"
        notes.append(f"unknown xyzt_units {int(header['xyzt_units'])}: millimetres assumed")
    if unit in _MM_PER_UNIT:
        notes.append(f"spacing is stored in {unit}s: turned into millimetres")
        affine[:3] *= _MM_PER_UNIT[unit]
    return affine


def _compare_forms(header: Nifti1Header, affine: Affine, shape: Shape3, notes: list[str]) -> None:
    try:
        other = np.array(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        notes.append(f"qform is broken ({_plain(error)}): sform is used")
        return
    distance_mm = np.linalg.norm(Geometry(shape, affine).corners() - Geometry(shape, other).corners(), axis=1).max()
    if not distance_mm <= _FORMS_AGREE_MM:  # True for NaN, too
        notes.append(f"qform and sform differ by up to {distance_mm:.3g} mm at the volume's corners: sform is used")


def _stored_voxels(path: Path, header: Nifti1Header, dtype: DType, count: int, allow_foreign: bool) -> StoredVoxels:
    source = _files(path)[-1]
    if len(_files(path)) > 1:
        source = data_file(_files(path)[0], source.name, allow_foreign=allow_foreign)
    encoding: Literal["raw", "gzip"] = "gzip" if source.suffix.lower() == ".gz" else "raw"
    return StoredVoxels((source,), dtype, count, encoding, skip=int(header["vox_offset"]))


def _collector(notes: list[str]) -> logging.Logger:
    """Return a logger that is not registered and appends nibabel's remarks about a header to `notes`."""

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append(f"NIfTI header: {record.getMessage()}")

    collector = logging.Logger("nifti header", level=logging.WARNING)
    collector.addHandler(Collect())
    return collector


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())
