"""The text header of a NRRD file: what ITK would overlook in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_MAX_HEADER = 1 << 16
_PATIENT_SPACES = {
    "left-posterior-superior",
    "lps",
    "right-anterior-superior",
    "ras",
    "left-anterior-superior",
    "las",
}
_REMEDY = "repair the header or export the volume again"


def check_nrrd(path: Path) -> Iterator[str]:
    """Yield warnings; raise `InputError` for a 2-D file, or spacing, axes or origin that are no grid."""
    fields = _fields(path)
    dimension = fields.get("dimension", "none")
    if not dimension.isascii() or not dimension.isdigit() or int(dimension) < 3:
        raise InputError(
            f"{path}: {'2-D file: ' if dimension == '2' else ''}dimension: {dimension!r}, expected 3 (4 with channels)",
            remedy="give a volume, not a single image",
        )
    if fields.get("type") == "block":
        raise InputError(f"{path}: voxel type block is not supported", remedy="save the volume as int16 or float32")
    if "space directions" in fields:
        vectors = _vectors(path, "space directions", fields)
        if not np.isfinite(vectors).all():
            raise _wrong(path, "space directions", fields, "finite numbers")
        if not np.linalg.norm(vectors, axis=-1).all():
            raise _wrong(path, "space directions", fields, "spacing (length of each vector) above 0")
    elif "spacings" in fields:
        try:
            spacing = np.array([float(v) for v in fields["spacings"].split()])[-3:]
        except ValueError:
            raise _wrong(path, "spacings", fields, "positive numbers") from None
        if not (spacing.size == 3 and np.isfinite(spacing).all() and (spacing > 0).all()):
            raise _wrong(path, "spacings", fields, "positive numbers")
        yield "no space directions: axes assumed to run to the patient's left, posterior and head (LPS)"
    else:
        yield "no spacing, no space directions: 1 mm and axes to left, posterior and head (LPS) assumed"
    if "space origin" in fields and not np.isfinite(_vectors(path, "space origin", fields)).all():
        raise _wrong(path, "space origin", fields, "finite numbers")
    if "space directions" in fields and fields.get("space", "").lower() not in _PATIENT_SPACES:
        yield f"space is {fields.get('space', 'not set')}: directions taken as left-posterior-superior"


def _fields(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_HEADER)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", remedy="check name and permissions") from None
    if not text.startswith(b"NRRD"):
        raise InputError(f"{path}: not a NRRD header", remedy="export the volume again")
    head = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[0].decode("latin-1")
    fields: dict[str, str] = {}
    for line in head.splitlines()[1:]:
        key, found, value = line.partition(":")
        if found and not line.startswith("#") and not value.startswith("="):
            fields[key.strip().lower()] = value.strip()
    return fields


def _vectors(path: Path, key: str, fields: dict[str, str]) -> NDArray[np.float64]:
    """[n, 3] of "(1,0,0) (0,1,0)"; axes without a direction ("none") are left out. Four axes of space give [n, 4]."""
    try:
        rows = [[float(v) for v in row.split(",")] for row in re.findall(r"\(([^)]*)\)", fields[key])]
    except ValueError:
        raise _wrong(path, key, fields, "vectors of numbers") from None
    if not rows or {len(row) for row in rows} not in ({3}, {4}):
        raise _wrong(path, key, fields, "vectors of three numbers")
    return np.array(rows)


def _wrong(path: Path, key: str, fields: dict[str, str], expected: str) -> InputError:
    return InputError(f"{path}: {key}: {fields[key]}, expected {expected}", remedy=_REMEDY)
