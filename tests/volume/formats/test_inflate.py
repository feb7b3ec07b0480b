"""Streams that ISA-L and zlib inflate: the same bytes, and the same refusals as zlib's."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_infer.errors import InputError
from gpu_infer.volume.formats import one_member, spans
from gpu_infer.volume.formats.inflate import decompressor
from gpu_infer.volume.formats.spans import fill_inflated

FLAGS = {"text": 1, "check sum": 2, "extra": 4, "name": 8, "comment": 16}


def member(raw: bytes, flags: int = 0, level: int = 6) -> bytes:
    """Return a gzip member (RFC 1952) whose header has the optional fields of `flags`."""
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    head += struct.pack("<H", 5) + b"extra" if flags & FLAGS["extra"] else b""
    head += b"name.nii\0" if flags & FLAGS["name"] else b""
    head += b"a comment\0" if flags & FLAGS["comment"] else b""
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & FLAGS["check sum"] else b""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = packer.compress(raw) + packer.flush()
    return head + body + struct.pack("<II", zlib.crc32(raw), len(raw) & 0xFFFFFFFF)


def zlib_reads(data: bytes, count: int) -> bytes | None:
    """Return the first member's bytes if zlib finds no fault, and they are `count`."""
    stream = zlib.decompressobj(47)
    try:
        out = stream.decompress(data)
    except zlib.error:
        return None
    return out if stream.eof and len(out) == count else None


def read(path: Path, count: int) -> bytes:
    out = np.zeros(count, np.uint8)
    fill_inflated(path, 0, out)
    return out.tobytes()


@pytest.mark.parametrize("flags", [0, *FLAGS.values(), 9, 24, 31])
@pytest.mark.parametrize("chunk", [1, 11, 13, 1 << 18])
def test_headers_in_pieces(flags: int, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_CHUNK", chunk)
    raw = np.random.default_rng(flags).integers(0, 4, 5000, np.uint8).tobytes()
    path = tmp_path / "v.gz"
    path.write_bytes(member(raw[:2000], flags) + member(raw[2000:], flags))
    assert read(path, len(raw)) == raw


def test_usual_headers_are_inflated_by_isal() -> None:
    usual = (gzip.compress(b"voxels"), member(b"voxels", FLAGS["name"]), zlib.compress(b"voxels"))
    assert {type(decompressor(head)).__module__ for head in usual} == {"isal_zlib"}
    rare = (member(b"voxels", FLAGS["check sum"]), member(b"voxels", 128), b"no stream", b"\x1f\x8b", b"")
    assert {type(decompressor(head)).__module__ for head in rare} == {"zlib"}


@settings(max_examples=300, deadline=None)
@given(
    raw=st.one_of(st.binary(max_size=300), st.integers(1, 20_000).map(bytes)),
    flags=st.sampled_from([0, 0, 1, 2, 8, 31, 64]),
    level=st.sampled_from([0, 1, 6, 9]),
    packed=st.sampled_from(["gzip", "zlib"]),
    cut=st.integers(0, 400),
    flip=st.one_of(st.none(), st.tuples(st.integers(0, 10_000), st.integers(0, 7))),
    chunk=st.sampled_from([1, 7, 100, 1 << 18]),
    block=st.sampled_from([1000, 1 << 22]),
)
def test_damaged_streams(
    tmp_path_factory: pytest.TempPathFactory,
    raw: bytes,
    flags: int,
    level: int,
    packed: str,
    cut: int,
    flip: tuple[int, int] | None,
    chunk: int,
    block: int,
) -> None:
    """What zlib reads is read, and what is read is right; zlib alone refuses reserved flags and unused codes."""
    data = member(raw, flags, level) if packed == "gzip" else zlib.compress(raw, level)
    if cut < len(data) // 2:
        data = data[: len(data) - cut]
    if flip is not None:
        at = flip[0] % len(data)
        data = data[:at] + bytes([data[at] ^ 1 << flip[1]]) + data[at + 1 :]
    path = tmp_path_factory.mktemp("streams") / "v.gz"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "_CHUNK", chunk)
        patch.setattr(spans, "_BLOCK", block)
        patch.setattr(one_member, "_CHUNK", chunk)
        patch.setattr(one_member, "_BLOCK", block)
        try:
            actual = read(path, len(raw))
        except InputError:
            actual = None
    if zlib_reads(data, len(raw)) is not None:
        assert actual == raw
    elif raw:
        assert actual in (None, raw)
