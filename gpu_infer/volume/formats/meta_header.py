"""The text header of a MetaImage, parsed and checked: ITK silently corrects some faults, and crashes on others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError
from gpu_infer.volume.files import open_regular
from gpu_infer.volume.geometry import Geometry, Shape3

_READ = (1 << 16, 1 << 24)  # bytes of header: most have a few lines, ultrasound sequences some hundred kB
_MAX_VALUE = 1 << 12  # characters of a value that is used
_MAX_SIZE = 1 << 31
_SPACING = ("ElementSpacing", "ElementSize")
_ORIGIN = ("Offset", "Position", "Origin")
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_SCALING = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}
_REQUIRED = ("NDims", "DimSize", "ElementType", "ElementDataFile")
_KEYS = {
    *_REQUIRED,
    *_SPACING,
    *_ORIGIN,
    *_MATRIX,
    "BinaryData",
    "BinaryDataByteOrderMSB",
    "CompressedData",
    "DistanceUnits",
    "ElementByteOrderMSB",
    "ElementNumberOfChannels",
    *_SCALING,
    "HeaderSize",
}
_MM_PER_UNIT = {"um": 1e-3, "cm": 10.0}
_UNIT_LENGTH = 1e-3  # rows of a rotation written with four digits


@dataclass(frozen=True)
class MetaHeader:
    """A header.

    fields  values as written, by key.
    end     the byte after the header, where the voxels of an .mha start.
    listed  the lines after `ElementDataFile = LIST`.
    """

    path: Path
    fields: dict[str, str]
    end: int
    listed: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> MetaHeader:
        """Read a header. Raises `InputError` if the file is not a MetaImage header."""
        fields: dict[str, str] = {}
        end, text = 0, b""
        with open_regular(path) as file:
            for size in _READ:
                text += file.read(size - len(text))
                fields, end = _fields(text)
                if "ElementDataFile" in fields or len(text) < size:
                    break
            if fields.get("ElementDataFile", "")[:4].upper() == "LIST":
                text += file.read(_READ[-1] - len(text))
        for key in _REQUIRED:
            if key not in fields:
                raise InputError(
                    f"{path}: no {key} in the header, expected a MetaImage header",
                    remedy="export the volume again",
                )
        for key, value in fields.items():
            if len(value) > _MAX_VALUE:
                raise InputError(
                    f"{path}: {key} has {len(value)} characters, expected at most {_MAX_VALUE}",
                    remedy="repair the header or export the volume again",
                )
        listed: tuple[str, ...] = ()
        if fields["ElementDataFile"][:4].upper() == "LIST":
            lines = os.fsdecode(text[end:]).splitlines()
            listed = tuple(line.strip() for line in lines if line.strip())
        return cls(path, fields, end, listed)

    @property
    def dims(self) -> int:
        """Number of axes: 3, or 4 with an axis of channels. Raises `InputError` for any other number."""
        dims = self._numbers("NDims")
        if dims.size != 1 or dims[0] not in (3, 4):
            prefix = f"{dims[0]:g}-D file: " if dims.size == 1 else ""
            raise InputError(
                f"{self.path}: {prefix}NDims = {self.fields['NDims']}, expected 3 (or 4 with channels)",
                remedy="give a volume, not a single image",
            )
        return int(dims[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Length of each axis, the fastest first. Raises `InputError`."""
        sizes = self._numbers("DimSize")
        if sizes.size != self.dims or (sizes < 1).any() or (sizes % 1).any() or (sizes >= _MAX_SIZE).any():
            raise self.wrong("DimSize", f"{self.dims} positive whole numbers")
        return tuple(int(n) for n in sizes)

    def check_unscaled(self) -> None:
        """Raise `InputError` if a slope or an offset maps voxels to other values: most readers ignore it."""
        for key, value in _SCALING.items():
            if key in self.fields and self._numbers(key).tolist() != [value]:
                raise self.wrong(key, f"{value:g}, which means values as stored")

    def geometry(self, notes: list[str]) -> Geometry:
        """Return the grid as ITK reads it: rows of TransformMatrix are the axes' directions in LPS; lengths in mm."""
        dims = self.dims
        spacing = np.ones(dims)
        if key := self._first(_SPACING):
            spacing = self._numbers(key)
            if spacing.size != dims or not (spacing > 0).all():
                raise self.wrong(key, f"spacing of {dims} positive numbers")
            # no contradiction: a slice may be thicker than the distance to the next one
            if "ElementSize" in self.fields and not np.array_equal(self._numbers("ElementSize"), spacing):
                notes.append("ElementSize differs from ElementSpacing: ElementSpacing is taken")
        else:
            notes.append("no ElementSpacing: 1 mm assumed")
        origin = np.zeros(dims)
        if key := self._first_consistent(_ORIGIN):
            origin = self._numbers(key)
            if origin.size != dims:
                raise self.wrong(key, f"{dims} numbers")
        direction = self._direction(dims, notes)
        unit = self.fields.get("DistanceUnits", "")
        if factor := _MM_PER_UNIT.get(unit):
            notes.append(f"lengths are stored in {unit}: turned into millimetres")
            spacing, origin = spacing * factor, origin * factor
        elif unit not in ("", "?", "mm"):
            notes.append(f"DistanceUnits = {unit} is not known: millimetres assumed")
        i, j, k = self.sizes[:3]
        shape: Shape3 = (i, j, k)
        return Geometry.from_itk(shape, tuple(spacing[:3]), tuple(origin[:3]), tuple(direction[:3, :3].ravel()))

    def _direction(self, dims: int, notes: list[str]) -> NDArray[np.float64]:
        key = self._first_consistent(_MATRIX)
        if key is None:
            notes.append("no TransformMatrix: axes assumed to run to the patient's left, posterior and head (LPS)")
            return np.eye(dims)
        matrix = self._numbers(key)
        expected = f"an invertible {dims}×{dims} matrix"
        if matrix.size != dims * dims or not (np.abs(matrix) <= 1e3).all():  # a direction's entries are at most 1
            raise self.wrong(key, expected)
        matrix = matrix.reshape(dims, dims)
        if abs(np.linalg.det(matrix)) < 1e-6:
            raise self.wrong(key, expected)
        if dims == 4 and (matrix[3, :3].any() or matrix[:3, 3].any()):
            raise self.wrong(key, "a fourth axis that is independent of the axes of space")
        lengths = np.linalg.norm(matrix[:3, :3], axis=1)
        if (np.abs(lengths - 1) > _UNIT_LENGTH).any():
            notes.append(f"{key}: rows have lengths {', '.join(f'{v:g}' for v in lengths)}: spacing is scaled by them")
        return matrix.T

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return a boolean field."""
        value = self.fields.get(key)
        return default if not value else value[0] in "Tt1"

    def whole(self, key: str, default: int) -> int:
        """Return a whole number. Raises `InputError`."""
        try:
            value = int(self.fields.get(key, default))
        except ValueError:
            raise self.wrong(key, "a whole number") from None
        if abs(value) > 1 << 62:
            raise self.wrong(key, "a smaller number")
        return value

    def wrong(self, key: str, expected: str) -> InputError:
        """Error for a field with a value that is not `expected`."""
        return InputError(
            f"{self.path}: {key} = {self.fields[key][:200]}, expected {expected}",
            remedy="repair the header or export the volume again",
        )

    def _first(self, keys: tuple[str, ...]) -> str | None:
        return next((key for key in keys if key in self.fields), None)

    def _first_consistent(self, keys: tuple[str, ...]) -> str | None:
        """As `_first`; raises `InputError` if another key has other numbers, since readers prefer different keys."""
        first = self._first(keys)
        for key in keys:
            if first and key in self.fields and not np.array_equal(self._numbers(key), self._numbers(first)):
                raise self.wrong(key, f"the same as {first} = {self.fields[first][:200]}")
        return first

    def _numbers(self, key: str) -> NDArray[np.float64]:
        try:
            numbers = np.array([float(v) for v in self.fields[key].split()])
        except ValueError:
            raise self.wrong(key, "numbers") from None
        if not np.isfinite(numbers).all():
            raise self.wrong(key, "finite numbers")
        return numbers


def _fields(text: bytes) -> tuple[dict[str, str], int]:
    """Return the fields of `text` that are used, and the byte after the line ElementDataFile."""
    fields: dict[str, str] = {}
    end = 0
    while end < len(text):
        stop = text.find(b"\n", end)
        stop = len(text) if stop < 0 else stop
        line = text[end:stop]
        end = stop + 1
        name, separator, value = line.partition(b"=" if b"=" in line else b":")
        if separator and (key := name.strip().decode("latin-1")) in _KEYS:
            fields[key] = os.fsdecode(value.strip())  # file names are bytes on disk
            if key == "ElementDataFile":
                break
    return fields, end
