"""Gzip files of one member are inflated straight into the array; others by blocks, with the same bytes and refusals."""

from __future__ import annotations

import gzip
import signal
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from isal import isal_zlib

from gpu_infer.errors import InputError
from gpu_infer.volume.formats import one_member, spans
from gpu_infer.volume.formats.spans import fill_inflated

RAW = np.random.default_rng(1).integers(0, 5, 100_000, np.uint8).tobytes()
START, OFFSET = 7, 352


def fill(path: Path, count: int, *, start: int = 0, offset: int = 0) -> bytes:
    out = np.full(count, 255, np.uint8)
    fill_inflated(path, offset, out, start=start)
    return out.tobytes()


def stored(data: bytes) -> bytes:
    """A block of deflate that has `data` as it is; not the last one."""
    return struct.pack("<BHH", 0, len(data), len(data) ^ 0xFFFF) + data


def no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise AssertionError("inflated by blocks")

    monkeypatch.setattr(spans, "_inflate", refuse)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize(("chunk", "block"), [(16, 1 << 25), (100, 1000), (1 << 22, 1 << 25)])
def test_one_member_is_inflated_into_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int, chunk: int, block: int
) -> None:
    no_blocks(monkeypatch)
    monkeypatch.setattr(one_member, "_CHUNK", chunk)
    monkeypatch.setattr(one_member, "_BLOCK", block)
    path = tmp_path / "v.gz"
    path.write_bytes(b"header\n" + gzip.compress(RAW, level))
    assert fill(path, len(RAW) - OFFSET, start=START, offset=OFFSET) == RAW[OFFSET:]


def test_a_name_in_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_blocks(monkeypatch)
    path = tmp_path / "v.gz"
    with path.open("wb") as file, gzip.GzipFile("v.nii", "wb", fileobj=file) as packed:
        packed.write(RAW)
    assert fill(path, len(RAW)) == RAW


ODD: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda raw: zlib.compress(raw),
    "two members": lambda raw: gzip.compress(raw[:100]) + gzip.compress(raw[100:]),
    "an empty member first": lambda raw: gzip.compress(b"") + gzip.compress(raw),
    "an empty member last": lambda raw: gzip.compress(raw) + gzip.compress(b""),
    "zeros at the end": lambda raw: gzip.compress(raw) + bytes(1000),
    "other bytes at the end": lambda raw: gzip.compress(raw) + b"more",
    "its size at the end": lambda raw: gzip.compress(raw) + gzip.compress(raw)[-8:],
    "more voxels": lambda raw: gzip.compress(raw + b"more"),
    "more voxels, and the size of fewer": lambda raw: gzip.compress(raw + b"m") + struct.pack("<I", len(raw)),
}


@pytest.mark.parametrize("pack", ODD.values(), ids=ODD)
def test_other_files_have_the_same_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "v.gz"
    path.write_bytes(pack(RAW))
    assert fill(path, len(RAW)) == RAW


@pytest.mark.parametrize("at", [3, 20, 5000, -8, -1])
def test_a_damaged_member_is_refused(tmp_path: Path, at: int) -> None:
    packed = bytearray(gzip.compress(RAW, mtime=0))
    packed[at] ^= 0x80
    path = tmp_path / "v.gz"
    path.write_bytes(packed)
    with pytest.raises(InputError, match=r"damaged compressed data|truncated"):
        fill(path, len(RAW))


def test_a_member_that_ends_early_but_has_the_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(RAW)[:20_000] + struct.pack("<I", len(RAW)))
    with pytest.raises(InputError, match=r"truncated|damaged"):
        fill(path, len(RAW))


def test_blocks_without_content_after_the_voxels_are_not_read_to_their_end(tmp_path: Path) -> None:
    """Their end is damaged, and 1 MiB of them is read."""
    path = tmp_path / "v.gz"
    head = b"\x1f\x8b\x08" + bytes(7)
    path.write_bytes(head + stored(RAW[:1000]) + stored(b"") * (1 << 20) + b"\xff" * 100 + struct.pack("<I", 1000))
    notes: list[str] = []
    out = np.zeros(1000, np.uint8)
    fill_inflated(path, 0, out, notes=notes)
    assert out.tobytes() == RAW[:1000]
    assert notes == ["more than 1 MiB follows the voxels: ignored, the check sum is not verified"]


def test_isal_without_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(isal_zlib, "_GzipReader")
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(RAW))
    assert fill(path, len(RAW)) == RAW


def test_little_memory_in_addition_to_the_array(tmp_path: Path) -> None:
    path, count = tmp_path / "v.gz", 64 << 20
    path.write_bytes(gzip.compress(RAW * (count // len(RAW)) + bytes(count % len(RAW)), 1))
    tracemalloc.start()
    try:
        fill_inflated(path, 0, np.empty(count, np.uint8))
        assert tracemalloc.get_traced_memory()[1] < 1.2 * count
    finally:
        tracemalloc.stop()


def test_signal_handlers_run_while_a_member_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    monkeypatch.setattr(one_member, "_CHUNK", 100)
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(RAW))
    before, reads = signal.signal(signal.SIGUSR1, stop), 0
    real = one_member._Chunks.readinto

    def readinto(self: one_member._Chunks, buffer: memoryview) -> int:
        nonlocal reads
        reads += 1
        if reads == 3:
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        return real(self, buffer)

    monkeypatch.setattr(one_member._Chunks, "readinto", readinto)
    try:
        with pytest.raises(Stop):
            fill(path, len(RAW))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert reads == 3
