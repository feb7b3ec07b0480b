"""Maps of values from 0 to 1, written slab by slab as .nii.gz or .nrrd.

Neither format has a 16-bit floating-point type. uint8 holds round(255·p): NIfTI scales it back (scl_slope 1/255), NRRD
names the range in `old min` and `old max`, which most readers ignore.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_infer._version import __version__
from gpu_infer.choices import ScoresDtype, ScoresFormat
from gpu_infer.errors import ConfigError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.gzip_member import GzipMember, member_head
from gpu_infer.writers.places import Place

MARK = "gpu_infer score map"
"""Comment of the gzip stream in each of these files."""

UNCERTAINTY = "uncertainty"
_NIFTI_MOST = 32767
_NRRD_HEAD = 8192
_ORTHOGONAL = 1e-4
_TYPES = {"uint8": "uint8", "float32": "float"}


@dataclass(frozen=True)
class ValueRange:
    """Lowest and highest value of a map, before rounding to its dtype."""

    low: float
    high: float


def score_map_name(base: str, label: int | None, form: ScoresFormat) -> str:
    """File name of a label's map, of the uncertainty's if `label` is None."""
    return f"{base}.{UNCERTAINTY if label is None else f'{label}.score'}.{form}"


def score_map_places(folder: Path, names: Iterable[str]) -> list[Place]:
    """Places of maps in the output folder."""
    return [Place(folder / name, "a score map of an older run", "output", is_score_map) for name in names]


def is_score_map(path: Path) -> bool:
    """Whether `path` is a map of this program that no other one has written again."""
    head = member_head(MARK)
    with path.open("rb") as file:
        begin = file.read(_NRRD_HEAD)
    if not begin.startswith(b"NRRD"):
        return begin.startswith(head)
    return begin[begin.find(b"\n\n") + 2 :].startswith(head) if b"\n\n" in begin else False


def check_score_map_format(shape: tuple[int, int, int], form: ScoresFormat) -> None:
    """Raise ConfigError for a grid that NIfTI-1 cannot have."""
    if form == "nii.gz" and max(shape) > _NIFTI_MOST:
        raise ConfigError(
            f"--scores-format nii.gz: found an axis of {max(shape)} voxels, NIfTI has at most {_NIFTI_MOST}",
            remedy="give --scores-format nrrd",
        )


def write_score_map(
    path: Path, slabs: Iterable[NDArray[np.float32]], geometry: Geometry, dtype: ScoresDtype, content: str
) -> ValueRange:
    """Write one map.

    Args:
        path: .nii.gz or .nrrd; its folder is the caller's alone.
        slabs: [K', J, I] float32 from 0 to 1, C-contiguous, which together are all slices in order. They may change.
        geometry: of the map.
        dtype: of the voxels in the file.
        content: one printable line for people.

    Raises `OSError`.
    """
    low, high = 1.0, 0.0
    with path.open("wb") as file:
        if path.name.endswith(".nrrd"):
            file.write(_nrrd_header(geometry, dtype, content))
            stream = GzipMember(file, MARK)
        else:
            stream = GzipMember(file, MARK)
            stream.write(_nifti_header(geometry, dtype, content))
        for slab in slabs:
            low, high = min(low, float(slab.min())), max(high, float(slab.max()))
            stream.write(_stored(slab, dtype))
        stream.close()
    return ValueRange(low, high)


def _stored(slab: NDArray[np.float32], dtype: ScoresDtype) -> memoryview:
    if dtype == "float32":
        voxels = slab.astype("<f4", copy=False)
        return voxels.reshape(-1).view(np.uint8).data
    np.multiply(slab, np.float32(255), out=slab)
    np.rint(slab, out=slab)
    return slab.astype(np.uint8).reshape(-1).data


def _nifti_header(geometry: Geometry, dtype: ScoresDtype, content: str) -> bytes:
    """NIfTI-1 in one file: 348 bytes and an empty extension."""
    from nibabel.nifti1 import Nifti1Header

    header = Nifti1Header()
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(geometry.shape)
    axes = geometry.affine[:3, :3] / np.asarray(geometry.spacing)
    header.set_qform(geometry.affine, code=1 if np.abs(axes.T @ axes - np.eye(3)).max() <= _ORTHOGONAL else 0)
    header.set_sform(geometry.affine, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1 / 255 if dtype == "uint8" else 1, 0)
    header["cal_max"], header["vox_offset"], header["magic"] = 1, 352, b"n+1"
    header["descrip"] = f"gpu_infer {__version__}: {content}".encode("ascii", "replace")[:79]
    return bytes(header.as_byteswapped("<").binaryblock) + bytes(4)


def _nrrd_header(geometry: Geometry, dtype: ScoresDtype, content: str) -> bytes:
    spacing, origin, direction = geometry.to_itk()
    columns = np.asarray(direction).reshape(3, 3) * np.asarray(spacing)
    lines = [
        "NRRD0004",
        f"# gpu_infer {__version__}",
        f"content: {content}",
        f"type: {_TYPES[dtype]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, geometry.shape))}",
        f"space directions: {' '.join(_vector(column) for column in columns.T)}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(origin)}",
        *(["old min: 0", "old max: 1"] if dtype == "uint8" else []),
    ]
    return ("\n".join(lines) + "\n\n").encode()


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value) + 0.0) for value in values)})"
