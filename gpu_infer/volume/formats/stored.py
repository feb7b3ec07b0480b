"""Voxels in files: equal parts of one array in one or several files, plain, compressed or as text."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.system.memory_pages import pages_ahead
from gpu_infer.volume.boxes import BoxReader
from gpu_infer.volume.checks import SUPPORTED_DTYPES, DType, Voxels
from gpu_infer.volume.files import file_size, open_regular
from gpu_infer.volume.follower import NO_FOLLOWER, Follower
from gpu_infer.volume.formats.inflated_boxes import InflatedBoxes
from gpu_infer.volume.formats.raw_boxes import RawBoxes
from gpu_infer.volume.formats.spans import Bytes, allocate, check_inflatable, check_span, fill_inflated, fill_span
from gpu_infer.volume.geometry import Shape3

_CHUNK = 1 << 20  # bytes of text at once
_REMEDY = "the file is incomplete or damaged: copy or export it again"
_MAX_LINES = 1 << 24  # bytes of lines before the voxels, which are another program's text header
_MAX_WORD = 50  # digits of a float64, with room for superfluous ones
_EXACT = 2.0**53  # up to here, float64 represents every whole number
_NO_HEX = re.compile(rb"\s+")


@dataclass(frozen=True)
class StoredVoxels:
    """`count` values of `dtype` in `files`, in order, the same number in each.

    start  byte at which each file's part begins; -1: the part is the end of the file (raw only)
    lines  lines of text after `start` that are skipped
    skip   bytes after these lines that are skipped, counted after decompression, but before text or hex is decoded
    """

    files: tuple[Path, ...]
    dtype: DType
    count: int
    encoding: Literal["raw", "gzip", "text", "hex"] = "raw"
    start: int = 0
    lines: int = 0
    skip: int = 0

    @property
    def _part(self) -> int:
        return self.count // len(self.files)

    def check(self) -> None:
        """Raise `InputError` if a file is missing, is no regular file, or is too short for its part."""
        nbytes = self._part * self.dtype.itemsize
        for path in self.files:
            size = file_size(path)
            start = self._start(path, nbytes)
            if self.encoding == "raw":
                check_span(path, start + self.skip, nbytes)
            elif self.encoding == "gzip":
                check_inflatable(path, self.skip, nbytes, start=start)
            else:  # text: at least a digit and a blank for a value; hex: two digits for a byte
                most = max(size - start - self.skip + 1, 0) // 2
                if self.encoding == "hex":
                    most //= self.dtype.itemsize
                if most < self._part:
                    raise self._short(path, most, "at most ")

    def read(self, notes: list[str], follower: Follower = NO_FOLLOWER) -> Voxels:
        """Read a flat, writable array [count]; append warnings to `notes`. Raises `InputError` or `ResourceError`.

        `follower` learns how far the array is filled, if its values will not be converted afterwards.
        """
        nbytes = self._part * self.dtype.itemsize
        out = allocate(self.files[0], nbytes * len(self.files))
        if self._is_final:
            follower.begin(out)
        else:
            follower = NO_FOLLOWER
        with pages_ahead(out):
            for n, path in enumerate(self.files):
                self._fill(path, out[n * nbytes : (n + 1) * nbytes], notes, follower.part(n * nbytes))
        return out.view(self.dtype)

    @property
    def _is_final(self) -> bool:
        """Whether the bytes of the files are those of the voxels in memory."""
        return self.dtype.name in SUPPORTED_DTYPES and self.dtype.isnative

    @property
    def boxes_refusal(self) -> str:
        """Why boxes of the voxels cannot be read without the rest, in words; empty if they can."""
        if len(self.files) > 1:
            return "its voxels are in several files"
        if self.dtype.name not in SUPPORTED_DTYPES:
            return f"its voxels are {self.dtype.name}, which are converted all together"
        return "" if self.encoding in ("raw", "gzip") else f"its voxels are stored as {self.encoding}"

    @property
    def is_compressed(self) -> bool:
        """Whether boxes have to be read in the order of the file."""
        return self.encoding == "gzip"

    def boxes(self, shape: Shape3, slices: int) -> BoxReader:
        """A reader of boxes of a volume of `shape` I, J, K with one channel, if there is no `boxes_refusal`.

        slices  most slices of a box

        Raises InputError for a file that cannot be opened.
        """
        (path,) = self.files
        start = self._start(path, self.count * self.dtype.itemsize)
        if self.is_compressed:
            return InflatedBoxes(path, start, self.skip, self.dtype, shape, slices)
        return RawBoxes(path, start + self.skip, self.dtype, shape)

    def _fill(self, path: Path, out: Bytes, notes: list[str], follower: Follower) -> None:
        start = self._start(path, out.size)
        if self.encoding == "raw":
            fill_span(path, start + self.skip, out, follower)
        elif self.encoding == "gzip":
            fill_inflated(path, self.skip, out, start=start, notes=notes, follower=follower)
        else:
            with open_regular(path) as file:
                file.seek(start + self.skip)
                fill = self._fill_text if self.encoding == "text" else self._fill_hex
                fill(file, path, out)

    def _start(self, path: Path, nbytes: int) -> int:
        if self.start < 0:
            return max(file_size(path) - nbytes, 0)
        if not self.lines:
            return self.start
        with open_regular(path) as file:
            file.seek(self.start)
            at, remaining = self.start, self.lines
            while at - self.start < _MAX_LINES and (chunk := file.read(_CHUNK)):
                if (ends := chunk.count(b"\n")) >= remaining:
                    end = 0
                    for _ in range(remaining):
                        end = chunk.index(b"\n", end) + 1
                    return at + end
                remaining -= ends
                at += len(chunk)
        raise InputError(
            f"{path}: fewer than {self.lines} lines in the first {_MAX_LINES >> 20} MiB, expected them in front of the "
            "voxels",
            remedy=_REMEDY,
        )

    def _fill_text(self, file: BinaryIO, path: Path, out: Bytes) -> None:
        """Read decimal numbers, separated by white space with or without a comma before it; nothing may follow them."""
        values, done, rest = out.view(self.dtype), 0, b""
        chunk = b" "
        while chunk:
            chunk = file.read(_CHUNK)
            text = rest + chunk
            words = text.split()
            rest = words.pop() if chunk and words and not chunk[-1:].isspace() else b""
            if b"," in text:  # a comma inside a word may be a decimal comma: that word is no number
                words = [word.removesuffix(b",") for word in words if word != b","]
            if long := next((word for word in (*words, rest) if len(word) > _MAX_WORD), None):
                raise InputError(f"{path}: {long[:20]!r}… among the voxels, expected numbers", remedy=_REMEDY)
            numbers = self._numbers(words, path)
            if done + len(words) > values.size:
                raise InputError(
                    f"{path}: more than {values.size} numbers among the voxels, expected {values.size}",
                    remedy="repair the shape in the header or export the volume again",
                )
            values[done : done + len(words)] = numbers
            done += len(words)
        if done < values.size:
            raise self._short(path, done)

    def _numbers(self, words: list[bytes], path: Path) -> Voxels:
        try:
            numbers = np.array(words, dtype="S").astype(np.float64) if words else np.empty(0)
        except ValueError as error:
            raise InputError(f"{path}: {error}, expected numbers as voxels", remedy=_REMEDY) from None
        if self.dtype.kind in "iu" and numbers.size:
            limits = np.iinfo(self.dtype)
            low, high = max(limits.min, -_EXACT), min(limits.max, _EXACT)
            if not ((numbers >= low) & (numbers <= high) & (numbers % 1 == 0)).all():
                raise InputError(
                    f"{path}: voxels written as text that {self.dtype.name} cannot hold, expected whole numbers from "
                    f"{low:.0f} to {high:.0f}",
                    remedy="repair ElementType or type in the header",
                )
        with np.errstate(over="ignore"):  # a value beyond float32's range becomes infinite, and a warning follows
            return numbers.astype(self.dtype)

    def _fill_hex(self, file: BinaryIO, path: Path, out: Bytes) -> None:
        """Read hexadecimal digits, two for a byte."""
        done, rest = 0, b""
        while done < out.size and (chunk := file.read(_CHUNK)):
            digits = rest + _NO_HEX.sub(b"", chunk)
            even = min(len(digits) & ~1, 2 * (out.size - done))
            try:
                block = binascii.unhexlify(digits[:even])
            except ValueError as error:
                raise InputError(f"{path}: damaged hexadecimal voxels: {error}", remedy=_REMEDY) from None
            rest = digits[even:]
            out[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        if done < out.size:
            raise self._short(path, done // self.dtype.itemsize)

    def _short(self, path: Path, values: int, bound: str = "") -> InputError:
        size = self.dtype.itemsize
        return InputError(
            f"{path}: truncated: found {bound}{values * size} bytes of voxels, expected {self._part * size}",
            remedy=_REMEDY,
        )
