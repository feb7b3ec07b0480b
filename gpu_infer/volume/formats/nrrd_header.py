"""The text header of a NRRD file, parsed and checked; the format is defined at https://teem.sourceforge.net/nrrd/."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.files import open_regular

_READ = (1 << 16, 1 << 24)  # bytes of header: most have a few lines, segmentations and diffusion images many
_MAX_VALUE = 1 << 12  # characters of a value that is used
_MAX_SIZE = 1 << 31
_MAGIC = re.compile(rb"NRRD000[1-5]\r?\n")
_BLANK = re.compile(rb"\n\r?\n")
FILE_LIST = re.compile(r"LIST(?:\s+([1-4]))?")
"""Value of `data file` before a list of files, with the number of axes in each; `list` in lower case is a file name."""
_SAME = {
    "datafile": "data file",
    "lineskip": "line skip",
    "byteskip": "byte skip",
    "axismins": "axis mins",
    "axismaxs": "axis maxs",
    "blocksize": "block size",
    "oldmin": "old min",
    "oldmax": "old max",
    "sampleunits": "sample units",
    "spacedirections": "space directions",
    "spaceorigin": "space origin",
    "spaceunits": "space units",
    "spacedimension": "space dimension",
    "measurementframe": "measurement frame",
    "centerings": "centers",
}
_KEYS = {
    *_SAME.values(),
    *("content", "dimension", "encoding", "endian", "kinds", "labels", "max", "min", "number", "sizes", "space"),
    *("spacings", "thicknesses", "type", "units"),
}
_REMEDY = "repair the header or export the volume again"


@dataclass(frozen=True)
class NrrdHeader:
    """A header.

    fields  values as written, by lower-case name.
    end     the byte after the header, where the voxels start if no data file is named.
    listed  the lines after `LIST`.
    """

    path: Path
    fields: dict[str, str]
    end: int
    listed: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> NrrdHeader:
        """Read a header. Raises `InputError` if the file is no NRRD header, or if a line of it is no field."""
        with open_regular(path) as file:
            text = file.read(_READ[0])
            if not (magic := _MAGIC.match(text)):
                raise InputError(f"{path}: not a NRRD header", remedy="export the volume again")
            if not _BLANK.search(text):
                text += file.read(_READ[1] - len(text))
        blank = _BLANK.search(text)
        if blank is None and len(text) == _READ[1]:
            raise InputError(f"{path}: no blank line after the header in {_READ[1]} bytes", remedy=_REMEDY)
        end = blank.end() if blank else len(text)
        # a list of files continues to the end of the header
        lines = text[magic.end() : blank.start() if blank else end].split(b"\n")
        fields: dict[str, str] = {}
        for number, line in enumerate(lines):
            if line.startswith(b"#") or not line.strip():
                continue
            key, value = _field(path, line)
            if not key:
                continue
            if key in fields:
                raise InputError(
                    f"{path}: {key} is given twice: {fields[key][:200]} and {value[:200]}, expected one line",
                    remedy=_REMEDY,
                )
            fields[key] = value
            if key == "data file" and value.startswith("LIST"):
                if not FILE_LIST.fullmatch(value):  # ITK refuses it, too, as a list or as a file's name
                    raise cls(path, fields, end).wrong(
                        key, "LIST with or without a number of axes, or a file name that does not start with LIST"
                    )
                names = (os.fsdecode(each.strip()) for each in lines[number + 1 :])
                return cls(path, fields, end, tuple(name for name in names if name))
        return cls(path, fields, end)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Length of each axis, the fastest first: three, or four with channels. Raises `InputError`."""
        dimension = self.fields.get("dimension", "none")
        if dimension not in ("3", "4"):
            raise InputError(
                f"{self.path}: {'2-D file: ' if dimension == '2' else ''}dimension: {dimension[:20]!r}, expected 3 "
                "(4 with channels)",
                remedy="give a volume, not a single image",
            )
        words = self.require("sizes").split()
        if len(words) != int(dimension) or not all(re.fullmatch(r"[0-9]{1,10}", word) for word in words):
            raise self.wrong("sizes", f"{dimension} positive whole numbers")
        sizes = tuple(map(int, words))
        if min(sizes) < 1 or max(sizes) >= _MAX_SIZE:
            raise self.wrong("sizes", f"{dimension} positive whole numbers below 2^31")
        return sizes

    def words(self, key: str, count: int) -> list[str] | None:
        """Return one word, quoted or not, for each of `count` axes; None without the field. Raises `InputError`."""
        if key not in self.fields:
            return None
        words = re.findall(r'"[^"]*"|[^\s"]+', self.fields[key])
        if len(words) != count:
            raise self.wrong(key, f"{count} words")
        return [word.strip('"').strip() for word in words]

    def whole(self, key: str) -> int:
        """Return a whole number, 0 if the field is missing. Raises `InputError`."""
        value = self.fields.get(key, "0")
        if not re.fullmatch(r"-?[0-9]{1,15}", value):
            raise self.wrong(key, "a whole number")
        return int(value)

    def require(self, key: str) -> str:
        """Return a field. Raises `InputError` if it is missing."""
        if key not in self.fields:
            raise InputError(f"{self.path}: no {key} in the header, expected a NRRD header", remedy=_REMEDY)
        return self.fields[key]

    def wrong(self, key: str, expected: str) -> InputError:
        """Error for a field with a value that is not `expected`."""
        return InputError(f"{self.path}: {key}: {self.fields[key][:200]}, expected {expected}", remedy=_REMEDY)


def _field(path: Path, line: bytes) -> tuple[str, str]:
    """Return name and value of a field; the name is empty for a key/value pair, which is ignored."""
    name, separator, value = line.partition(b":")
    if separator and value.startswith(b"="):
        return "", ""
    key = name.decode("latin-1").strip().lower()
    key = _SAME.get(key, key)
    if not separator or key not in _KEYS:
        shown = line[:60].decode("latin-1").strip()
        raise InputError(f"{path}: {shown!r} is no field of a NRRD header", remedy=_REMEDY)
    if len(value) > _MAX_VALUE:
        raise InputError(
            f"{path}: {key} has {len(value)} characters, expected at most {_MAX_VALUE}",
            remedy=_REMEDY,
        )
    return key, os.fsdecode(value.strip())  # file names are bytes on disk
