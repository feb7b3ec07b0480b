"""Bytes inside a text: gzip in base64, written as they come."""

from __future__ import annotations

import base64
import zlib
from typing import BinaryIO

_LEVEL = 1
"""Of gzip: noise does not get much smaller at higher levels."""

_GZIP = 31
"""zlib's window bits for a gzip stream with the largest window."""


class GzipBase64:
    """Compress what is written and append it to `file` in base64; `close` writes the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._rest = b""

    def write(self, data: bytes | memoryview) -> None:
        self._append(self._gzip.compress(data))

    def close(self) -> None:
        self._append(self._gzip.flush(), last=True)

    def _append(self, data: bytes, *, last: bool = False) -> None:
        data = self._rest + data
        end = len(data) if last else len(data) - len(data) % 3  # base64 pads anything else with =
        self._rest = data[end:]
        self._file.write(base64.b64encode(memoryview(data)[:end]))
