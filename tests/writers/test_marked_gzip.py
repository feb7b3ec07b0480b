"""A gzip stream with a comment is what every gzip reader reads, and the same bytes each time."""

from __future__ import annotations

import gzip
import io
import zlib

from gpu_infer.writers.marked_gzip import MarkedGzip, gzip_head


def compressed(*parts: bytes, comment: str = "a mark") -> bytes:
    file = io.BytesIO()
    stream = MarkedGzip(file, comment)
    for part in parts:
        stream.write(part)
    stream.close()
    return file.getvalue()


def test_it_is_read_by_gzip_and_zlib() -> None:
    parts = [bytes(range(256)) * 999, b"", b"end"]
    data = compressed(*parts)
    assert gzip.decompress(data) == b"".join(parts)
    assert zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data) == b"".join(parts)


def test_no_time_and_no_name_make_it_differ() -> None:
    assert compressed(b"voxels") == compressed(b"voxels")
    assert compressed(b"").startswith(b"\x1f\x8b\x08\x10\0\0\0\0\0\xffa mark\0")


def test_the_mark_goes_when_another_program_writes_the_data() -> None:
    data = compressed(b"voxels")
    assert data.startswith(gzip_head("a mark"))
    assert not gzip.compress(gzip.decompress(data)).startswith(gzip_head("a mark"))
