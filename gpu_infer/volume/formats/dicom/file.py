"""One DICOM file: the elements that determine grid and values, and the place of its pixels.

pydicom finds the elements. `elements` converts their bytes, so that no value of a header reaches a warning or a log.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from gpu_infer.errors import GpuInferError, InputError, ResourceError
from gpu_infer.volume.file_state import FileState
from gpu_infer.volume.formats.dicom.elements import KEYWORDS, SIEMENS_MOSAIC, number, text, uid_name

EXPORT = "export the series again, or convert it to .nii.gz"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
UNDEFINED_LENGTH = 0xFFFFFFFF

_PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}  # float, double and integer pixel data
_TAGS: list[Any] = [*(tag_for_keyword(word) for word in KEYWORDS), *SIEMENS_MOSAIC]
_MAX_FRAMES = 100_000
_MAX_INFLATED = 1 << 26  # bytes of a deflated file, which is one slice, after inflating


@dataclass(frozen=True)
class DicomFile:
    """Elements of one file.

    pixels_at      offset of the first byte of its pixels; -1 for a file without pixels.
    pixels_length  bytes of its pixels according to the header.
    size           bytes of the file (of a deflated file: after inflating).
    state          of the file before its header was read.
    """

    path: Path
    elements: Dataset
    syntax: str
    sop_class: str
    frames: int
    pixels_at: int
    pixels_length: int
    pixels_tag: int
    size: int
    state: FileState

    @property
    def name(self) -> str:
        """Name for a line of text."""
        return printable(self.path.name)

    @property
    def has_pixels(self) -> bool:
        return self.pixels_at >= 0

    @property
    def is_image(self) -> bool:
        """Whether its class is one of the standard's images, also if the file is cut before its pixels."""
        return _is_image(self.sop_class)

    @property
    def is_no_image(self) -> bool:
        """Whether it is certainly no slice: of a standard class without pixels, or of a valid private class."""
        if uid_name(self.sop_class):
            return not self.is_image
        private = re.fullmatch(r"[12](\.\d+)+", self.sop_class) and not self.sop_class.startswith("1.2.840.10008.")
        return bool(private and text(self.elements, "SOPClassUID") and self.series)

    @property
    def series(self) -> str:
        return text(self.elements, "SeriesInstanceUID")

    def read(self, count: int, skip: int = 0) -> bytearray:
        """Read at most `count` bytes of pixels from byte `skip` on; fewer if the file ends before."""
        with _open_file(self.path) as (file, _):
            stream: io.BytesIO | io.BufferedReader = _inflate(file) if self.syntax == DEFLATED else file
            stream.seek(self.pixels_at + skip)
            out = bytearray(max(min(count, self.size - self.pixels_at - skip), 0))
            del out[stream.readinto(out) :]
            return out


def read_file(path: Path) -> DicomFile | None:
    """Read the DICOM file `path`; None if it is no DICOM file.

    Raises `InputError` if its header is damaged or it cannot be opened, `ResourceError` without descriptors.
    """
    with _open_file(path) as (file, status):
        head = file.read(132)
        at = 132 if head[128:] == b"DICM" else 0 if _starts_like_dataset(head) else None
        if at is None:
            return None
        try:
            return _parse(path, file, at, status)
        except (GpuInferError, MemoryError):  # GpuInferError includes interrupts
            raise
        except Exception:  # pydicom raises many types for damaged bytes; its message may quote the patient's data
            raise InputError(f"{path}: damaged DICOM header", remedy=EXPORT) from None


def printable(name: str) -> str:
    """Return a file name for a line of text: without line breaks and without bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else "?" for c in name)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop pydicom's warnings and log records, because they quote values of the header."""
    pydicom_log = logging.getLogger("pydicom")
    disabled, mode = pydicom_log.disabled, config.settings.reading_validation_mode
    pydicom_log.disabled, config.settings.reading_validation_mode = True, config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom_log.disabled, config.settings.reading_validation_mode = disabled, mode


@contextmanager
def _open_file(path: Path) -> Iterator[tuple[io.BufferedReader, os.stat_result]]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a regular file, expected a DICOM slice", remedy="give files, not devices")
        with path.open("rb") as file:
            yield file, status
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise ResourceError(
                f"{path}: cannot be read: {error.strerror}", remedy="allow more open files or memory"
            ) from None
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", remedy="check the file and its permissions"
        ) from None


def _is_image(sop_class: str) -> bool:
    return "Image Storage" in uid_name(sop_class)


def _starts_like_dataset(head: bytes) -> bool:
    """Whether a file without preamble begins with an element of group 2 or 8 and a length of at most a few bytes."""
    if len(head) < 132 or head[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    return head[4:6].isupper() or int.from_bytes(head[4:8], "little") < 1 << 10


def _parse(path: Path, file: BinaryIO, at: int, status: os.stat_result) -> DicomFile:
    size = status.st_size
    stream: Any = _Bounded(file, size)
    stream.seek(at)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntax = text(meta, "TransferSyntaxUID") or IMPLICIT
    if syntax == DEFLATED:
        stream = _inflate(file)
        size = len(stream.getbuffer())
    little = syntax != BIG_ENDIAN
    elements = read_dataset(
        stream,
        syntax == IMPLICIT,
        little,
        stop_when=lambda tag, vr, length: int(tag) in _PIXELS,
        specific_tags=_TAGS,
    )
    for element in list(elements.values()):
        if element.value is None:  # pydicom converts an empty element late: one of unknown kind must fail here
            elements.get_item(element.tag)
    tag, begin, length = _pixel_element(stream, little, bool(elements.original_encoding[0]))
    classes = [text(elements, "SOPClassUID"), text(meta, "MediaStorageSOPClassUID")]
    # If one of them is damaged, the one that is an image: a cut slice must not count as something else.
    sop_class = next((c for c in classes if _is_image(c)), classes[0] or classes[1])
    frames = number(elements, "NumberOfFrames", str(path)) or 1.0
    if not 1 <= frames <= _MAX_FRAMES or frames != int(frames):
        raise InputError(f"{path}: NumberOfFrames {frames:g}, expected 1 to {_MAX_FRAMES}", remedy=EXPORT)
    return DicomFile(path, elements, syntax, sop_class, int(frames), begin, length, tag, size, FileState.of(status))


def _pixel_element(stream: Any, little: bool, implicit: bool) -> tuple[int, int, int]:
    """Return (tag, offset of the value, length) of the element at the stream's position; (0, -1, 0) at the end."""
    order = "<" if little else ">"
    begin = stream.tell()
    head = stream.read(12)
    if len(head) < (8 if implicit else 12):
        return 0, -1, 0
    group, element = struct.unpack(f"{order}HH", head[:4])
    tag = group << 16 | element
    if tag not in _PIXELS:
        return 0, -1, 0
    # GDCM and others write implicit elements into explicit files, and pydicom accepts them.
    if implicit or not head[4:6].isupper():
        return tag, begin + 8, struct.unpack(f"{order}L", head[4:8])[0]
    return tag, begin + 12, struct.unpack(f"{order}L", head[8:12])[0]


def _inflate(file: BinaryIO) -> io.BytesIO:
    """Inflate the data set, which starts after the file meta information."""
    file.seek(132)
    read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    try:
        return io.BytesIO(zlib.decompressobj(-15).decompress(file.read(), _MAX_INFLATED))
    except zlib.error:
        raise InputError(f"{file.name}: damaged compressed data", remedy=EXPORT) from None


class _Bounded:
    """A file whose `read` never requests more bytes than it has: a length in a header may be 4 GiB.

    It counts its position itself, because pydicom asks for it several times per element.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._at = file, size, file.tell()

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = self._file.seek(offset, whence)
        return self._at

    def read(self, count: int = -1) -> bytes:
        remaining = max(self._size - self._at, 0)
        data = self._file.read(remaining if count < 0 else min(count, remaining))
        self._at += len(data)
        return data
