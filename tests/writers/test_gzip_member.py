"""gzip members of ISA-L: other programs unpack them, and the comment tells them from members of others."""

from __future__ import annotations

import gzip
import io
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from gpu_infer.writers.gzip_member import GzipMember, member_head, read_comment, write_member

NOISE = np.random.default_rng(1).integers(0, 256, 100_000, np.uint8).tobytes()


def member(*blocks: bytes) -> bytes:
    file = io.BytesIO()
    write_member(file, blocks, "a comment")
    return file.getvalue()


@pytest.mark.parametrize(
    "blocks",
    [(), (b"",), (b"x",), (NOISE, NOISE[:7]), (b"\0" * (1 << 22),) * 5],
    ids=["none", "empty", "x", "noise", "0"],
)
def test_others_unpack_it(tmp_path: Path, blocks: tuple[bytes, ...]) -> None:
    packed = member(*blocks)
    assert gzip.decompress(packed) == b"".join(blocks)
    path = tmp_path / "file.gz"
    path.write_bytes(packed)
    assert subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout == b"".join(blocks)


def test_memory_views_of_any_type_are_bytes() -> None:
    view = np.arange(6, dtype="<u2").view(np.uint8).data
    assert gzip.decompress(member(view)) == bytes(view)  # type: ignore[arg-type]


def test_the_comment() -> None:
    assert read_comment(io.BytesIO(member(b"x"))) == "a comment"
    assert read_comment(io.BytesIO(gzip.compress(b"x"))) is None
    for cut in range(10 + len("a comment") + 1):
        assert read_comment(io.BytesIO(member(b"x")[:cut])) is None
    assert read_comment(io.BytesIO(b"\x1f\x8b\x08\x10" + b"\0" * 6 + b"x" * 200)) is None
    assert read_comment(io.BytesIO(b"\x1f\x8b\x08\x10" + b"\0" * 6 + b"\xff\0")) == "�"


def test_equal_content_makes_equal_bytes() -> None:
    assert member(NOISE) == member(NOISE)


def compressed(*parts: bytes, comment: str = "a mark") -> bytes:
    file = io.BytesIO()
    stream = GzipMember(file, comment)
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
    assert compressed(b"").startswith(b"\x1f\x8b\x08\x10\0\0\0\0\0\x03a mark\0")


def test_the_mark_goes_when_another_program_writes_the_data() -> None:
    data = compressed(b"voxels")
    assert data.startswith(member_head("a mark"))
    assert not gzip.compress(gzip.decompress(data)).startswith(member_head("a mark"))
