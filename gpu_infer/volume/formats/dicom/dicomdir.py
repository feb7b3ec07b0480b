"""The image files that a DICOMDIR lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydicom import dcmread

from gpu_infer.errors import GpuInferError, InputError
from gpu_infer.volume.files import file_size, open_regular, unreadable
from gpu_infer.volume.formats.dicom.file import printable, quiet

MOST_BYTES = 256 << 20
"""Bytes of a DICOMDIR: about 500,000 records."""

_INACTIVE = 0
_REMEDY = "give the folder instead, which is then searched for DICOM files"


def listed_files(path: Path) -> list[Path]:
    """Return the files that the records of the DICOMDIR `path` refer to, in their order.

    A record names a file by components below the folder of the DICOMDIR. Media are often copied with names in lower
    case; such a file is taken, too. Records without a file, and those that are not in use, are skipped.

    Raises `InputError` if it is no DICOMDIR, or a record refers to a file that is missing or outside the folder.
    """
    if (size := file_size(path)) > MOST_BYTES:
        raise InputError(f"{path}: {size} bytes, expected a DICOMDIR of at most {MOST_BYTES}", remedy=_REMEDY)
    try:
        with quiet(), open_regular(path) as file:
            names = list(_names(dcmread(file)))
    except (GpuInferError, MemoryError):
        raise
    except Exception:  # pydicom raises many types for damaged bytes; its message may quote the patient's data
        raise InputError(f"{path}: damaged or no DICOMDIR", remedy=_REMEDY) from None
    if not names:
        raise InputError(f"{path}: no record refers to a file, expected a DICOMDIR with images", remedy=_REMEDY)
    home = path.parent.resolve()
    return [_file(path, home, name) for name in dict.fromkeys(names)]


def _names(elements: Any) -> Iterator[tuple[str, ...]]:
    for record in elements.DirectoryRecordSequence:
        name = record.get("ReferencedFileID")
        if name and record.get("RecordInUseFlag", 0xFFFF) != _INACTIVE:
            yield (name,) if isinstance(name, str) else tuple(str(part) for part in name)


def _file(path: Path, home: Path, name: tuple[str, ...]) -> Path:
    text = printable("/".join(name))[:200]
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in name):
        raise InputError(f"{path}: record of the file {text}, expected names of folders and a file", remedy=_REMEDY)
    for parts in (name, tuple(part.lower() for part in name)):
        file = path.parent / PurePosixPath(*parts)
        try:
            target = file.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, RuntimeError) as error:
            raise unreadable(file, error) from None
        if not target.is_relative_to(home):
            raise InputError(f"{path}: the file {text} lies outside of its folder", remedy=_REMEDY)
        return file
    raise InputError(
        f"{path}: the file {text} of a record not found in {path.parent}",
        remedy="copy the whole medium, or give the folder instead of its DICOMDIR",
    )
