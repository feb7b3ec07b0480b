"""The text header of a MetaImage: checked before ITK sees it, and enough of it to read the voxels safely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .spans import inflate_span, read_span

_MAX_HEADER = 1 << 16
_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # 32 bits in MetaIO on every platform
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_SPACING = ("ElementSpacing", "ElementSize")
_ORIGIN = ("Offset", "Position", "Origin")
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")


@dataclass(frozen=True)
class MetaHeader:
    """`fields` as written; `end` is the byte after the header, where voxels start in an .mha."""

    path: Path
    fields: dict[str, str]
    end: int

    @classmethod
    def read(cls, path: Path) -> MetaHeader:
        """Raises `InputError` when the file is not a MetaImage header."""
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_HEADER)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}", remedy="check name and permissions") from None
        fields: dict[str, str] = {}
        end = 0
        while (stop := text.find(b"\n", end)) >= 0 or end < len(text):
            stop = len(text) if stop < 0 else stop
            line = os.fsdecode(text[end:stop])  # file names are bytes on disk
            end = stop + 1
            key, found, value = line.partition("=" if "=" in line else ":")
            if found:
                fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        for key in ("NDims", "DimSize", "ElementType", "ElementDataFile"):
            if key not in fields:
                raise InputError(
                    f"{path}: no {key} in the header, expected a MetaImage header",
                    remedy="export the volume again",
                )
        return cls(path, fields, end)

    def check(self) -> Iterator[str]:
        """Yield warnings; raise `InputError` for a 2-D file, or sizes, spacing or axes that are no grid."""
        dims = self._numbers("NDims")
        if dims.size != 1 or dims[0] not in (3, 4):
            named = f"{dims[0]:g}-D file: " if dims.size == 1 else ""
            raise InputError(
                f"{self.path}: {named}NDims = {self.fields['NDims']}, expected 3 (or 4 with channels)",
                remedy="give a volume, not a single image",
            )
        count = int(dims[0])
        sizes = self._numbers("DimSize")
        if sizes.size != count or (sizes < 1).any() or (sizes % 1).any():
            raise self._wrong("DimSize", f"{count} positive whole numbers")
        if key := self._first(_SPACING):
            spacing = self._numbers(key)
            if spacing.size != count or not (spacing > 0).all():
                raise self._wrong(key, f"spacing of {count} positive numbers")
        else:
            yield "no ElementSpacing: 1 mm assumed"
        if (key := self._first(_ORIGIN)) and self._numbers(key).size != count:
            raise self._wrong(key, f"{count} numbers")
        if key := self._first(_MATRIX):
            matrix = self._numbers(key)
            if matrix.size != count * count or abs(np.linalg.det(matrix.reshape(count, count))) < 1e-6:
                raise self._wrong(key, f"an invertible {count}×{count} matrix")
        else:
            yield "no TransformMatrix: axes assumed to run to the patient's left, posterior and head (LPS)"

    @property
    def files(self) -> tuple[Path, ...]:
        name = self.fields["ElementDataFile"]
        return (self.path,) if name.upper() == "LOCAL" else (self.path, self.path.parent / name)

    def voxels(self) -> NDArray[Any] | None:
        """Flat array of stored values in the file's byte order; None where ITK has to read (text, lists).

        Raises `InputError` with bytes found and expected for a file that is missing, truncated or damaged.
        """
        name, kind = self.fields["ElementDataFile"], _DTYPES.get(self.fields["ElementType"])
        listed = name.upper().startswith("LIST") or "%" in name
        if kind is None or (listed and not self.files[-1].is_file()) or not self._flag("BinaryData", default=True):
            return None
        source = self.files[-1]
        if not source.is_file():
            raise InputError(
                f"{self.path}: ElementDataFile {name} not found in {source.parent}",
                remedy="copy the .mhd together with its .raw or .zraw",
            )
        big = self._flag("BinaryDataByteOrderMSB") or self._flag("ElementByteOrderMSB")
        dtype = np.dtype(kind).newbyteorder(">" if big else "<")
        channels = max(self._whole("ElementNumberOfChannels", 1), 1)
        nbytes = prod(int(n) for n in self._numbers("DimSize")) * channels * dtype.itemsize
        start = self.end if source == self.path else 0
        if self._flag("CompressedData"):
            return inflate_span(source, 0, nbytes, start=start).view(dtype)
        skip = self._whole("HeaderSize", 0)
        if skip < 0:  # the voxels are the last bytes of the file, whatever stands before them
            skip = max(source.stat().st_size - nbytes, 0)
        return read_span(source, start if start else skip, nbytes).view(dtype)

    def _first(self, keys: tuple[str, ...]) -> str | None:
        return next((key for key in keys if key in self.fields), None)

    def _flag(self, key: str, *, default: bool = False) -> bool:
        value = self.fields.get(key)
        return default if not value else value[0] in "Tt1"

    def _whole(self, key: str, default: int) -> int:
        try:
            return int(self.fields.get(key, default))
        except ValueError:
            raise self._wrong(key, "a whole number") from None

    def _numbers(self, key: str) -> NDArray[np.float64]:
        try:
            numbers = np.array([float(v) for v in self.fields[key].split()])
        except ValueError:
            raise self._wrong(key, "numbers") from None
        if not np.isfinite(numbers).all():
            raise self._wrong(key, "finite numbers")
        return numbers

    def _wrong(self, key: str, expected: str) -> InputError:
        return InputError(
            f"{self.path}: {key} = {self.fields[key]}, expected {expected}",
            remedy="repair the header or export the volume again",
        )
