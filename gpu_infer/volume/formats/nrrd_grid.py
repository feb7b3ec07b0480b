"""The grid of a NRRD file in patient space, and which of its axes are axes of space."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.formats.nrrd_header import NrrdHeader
from gpu_infer.volume.geometry import Geometry, Shape3

_TO_LPS = {  # signs of the first two axes of space
    "left-posterior-superior": (1, 1),
    "lps": (1, 1),
    "left-posterior-superior-time": (1, 1),
    "lpst": (1, 1),
    "right-anterior-superior": (-1, -1),
    "ras": (-1, -1),
    "right-anterior-superior-time": (-1, -1),
    "rast": (-1, -1),
    "left-anterior-superior": (1, -1),
    "las": (1, -1),
    "left-anterior-superior-time": (1, -1),
    "last": (1, -1),
}
_MM_PER_UNIT = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 1e-6),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
}
_UNKNOWN = {"", "???", "none"}
_SPATIAL = {"domain", "space"}


@dataclass(frozen=True, eq=False)
class NrrdGrid:
    """A grid; `spatial` are the header's axes that are i, j, k, and `channel` is the other axis (None: three axes)."""

    geometry: Geometry
    spatial: tuple[int, int, int]
    channel: int | None


def nrrd_grid(header: NrrdHeader, notes: list[str]) -> NrrdGrid:
    """Return the grid and append warnings to `notes`. Raises `InputError` if axes, spacing or origin make no grid."""
    if "space directions" in header.fields:
        for key in ("spacings", "axis mins"):
            if key in header.fields:
                raise header.wrong(key, "none together with space directions")
        return _by_directions(header, notes)
    if "space" in header.fields or "space dimension" in header.fields:
        if "spacings" in header.fields:
            raise header.wrong("spacings", "space directions in a file with a space")
        notes.append("no space directions although there is a space")
    return _by_spacings(header, notes)


def _by_directions(header: NrrdHeader, notes: list[str]) -> NrrdGrid:
    rows = _vectors(header, "space directions", len(header.sizes))
    spatial = [axis for axis, row in enumerate(rows) if row is not None]
    lengths = {len(row) for row in rows if row is not None}
    length = lengths.pop() if len(lengths) == 1 else 0
    expected = "three vectors of three numbers, and none for channels"
    if length == 4 and len(spatial) == 4:
        fourth = rows[3] or ()
        if any(fourth[:3]) or any((rows[axis] or ())[3] for axis in range(3)):
            raise header.wrong("space directions", "a fourth axis that is independent of the axes of space")
        spatial = [0, 1, 2]
    elif length != 3 or len(spatial) != 3:
        raise header.wrong("space directions", expected)
    vectors = np.array([(rows[axis] or ())[:3] for axis in spatial])
    _check_finite(header, "space directions", vectors)
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(vectors, axis=1)
    if not norms.all():
        raise header.wrong("space directions", "spacing (length of each vector) above 0")
    if not (norms < 1e100).all():
        raise header.wrong("space directions", "vectors in millimetres")
    origin = np.zeros(3)
    if "space origin" in header.fields:
        row = _vectors(header, "space origin", 1)[0]
        if row is None or len(row) != length:
            raise header.wrong("space origin", f"one vector of {length} numbers")
        origin = np.array(row[:3])
        _check_finite(header, "space origin", origin)
    space = header.fields.get("space", "").lower()
    signs = _TO_LPS.get(space)
    if signs is None:
        notes.append(f"space is {header.fields.get('space', 'not set')}: directions taken as left-posterior-superior")
        signs = (1, 1)
    scale = _mm(header, "space units", length, notes)[:3]
    matrix = np.diag([*signs, 1]) @ np.diag(scale)
    return _grid(header, tuple(spatial), matrix @ vectors.T, matrix @ origin)


def _by_spacings(header: NrrdHeader, notes: list[str]) -> NrrdGrid:
    count = len(header.sizes)
    kinds = header.words("kinds", count) or ["domain"] * count
    spatial = [axis for axis, kind in enumerate(kinds) if kind.lower() in _SPATIAL | _UNKNOWN]
    if count == 4 and len(spatial) == 4:
        spatial = [0, 1, 2]  # as ITK: the slowest axis is the fourth
    if len(spatial) != 3:
        raise header.wrong("kinds", "three axes of space, and one of channels at most")
    spacing = np.ones(3)
    if (words := header.words("spacings", count)) is not None:
        spacing = _numbers(header, "spacings", [words[axis] for axis in spatial])
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            raise header.wrong("spacings", "positive numbers")
        notes.append("no space directions: axes assumed to run to the patient's left, posterior and head (LPS)")
    else:
        notes.append("no spacing, no space directions: 1 mm and axes to left, posterior and head (LPS) assumed")
    origin = np.zeros(3)
    if (words := header.words("axis mins", count)) is not None:
        origin = _numbers(header, "axis mins", [words[axis] for axis in spatial])
        _check_finite(header, "axis mins", origin)
        centers = header.words("centers", count) or ["cell"] * count
        origin = origin + [spacing[n] / 2 if centers[a].lower() != "node" else 0 for n, a in enumerate(spatial)]
    scale = _mm(header, "units", count, notes)[spatial]
    return _grid(header, tuple(spatial), np.diag(spacing * scale), origin * scale)


def _grid(
    header: NrrdHeader, spatial: tuple[int, ...], matrix: NDArray[np.float64], origin: NDArray[np.float64]
) -> NrrdGrid:
    """Make the grid from the axes' vectors (columns of `matrix` [3, 3], LPS mm) and the first voxel's centre."""
    i, j, k = spatial
    sizes = header.sizes
    shape: Shape3 = (sizes[i], sizes[j], sizes[k])
    geometry = Geometry.from_itk(shape, (1.0, 1.0, 1.0), tuple(origin), tuple(matrix.ravel()))
    others = [axis for axis in range(len(sizes)) if axis not in spatial]
    return NrrdGrid(geometry, (i, j, k), others[0] if others else None)


def _mm(header: NrrdHeader, key: str, count: int, notes: list[str]) -> NDArray[np.float64]:
    """Return the millimetres in the unit of each axis, [count]."""
    words = header.words(key, count)
    if words is None:
        return np.ones(count)
    scale = np.ones(count)
    for n, word in enumerate(words[:3] if key == "space units" else words):
        if word.lower() in _UNKNOWN:
            continue
        factor = _MM_PER_UNIT.get(word if word == "m" else word.lower())
        if factor is None:
            note = f"{key} {word[:40]!r} is not known: millimetres assumed"
        elif factor != 1.0:
            note = f"lengths are stored in {word}: turned into millimetres"
        else:
            continue
        scale[n] = factor or 1.0
        if note not in notes:
            notes.append(note)
    return scale


def _vectors(header: NrrdHeader, key: str, count: int) -> list[tuple[float, ...] | None]:
    """Return the `count` vectors of a field like "(1,0,0) none (0,1,0)"; None for none."""
    words = re.findall(r"none|\([^()]*\)", header.fields[key], re.IGNORECASE)
    if len(words) != count or re.sub(r"none|\([^()]*\)|\s", "", header.fields[key], flags=re.IGNORECASE):
        raise header.wrong(key, f"{count} vectors")
    try:
        return [None if w.lower() == "none" else tuple(float(v) for v in w[1:-1].split(",")) for w in words]
    except ValueError:
        raise header.wrong(key, "vectors of numbers") from None


def _numbers(header: NrrdHeader, key: str, words: list[str]) -> NDArray[np.float64]:
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        raise header.wrong(key, "numbers") from None


def _check_finite(header: NrrdHeader, key: str, values: NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise header.wrong(key, "finite numbers")
