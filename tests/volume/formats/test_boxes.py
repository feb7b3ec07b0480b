"""Boxes of a file against the whole array; damage is found although no box covers it."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.errors import InputError
from gpu_infer.volume.boxes import BoxReader
from gpu_infer.volume.formats import inflated_boxes
from gpu_infer.volume.formats.stored import StoredVoxels

SHAPE = (7, 6, 9)
HEADER = b"header of 21 bytes..."


def stored_at(path: Path, voxels: np.ndarray[Any, Any], *, packed: bool, tail: bytes = b"") -> StoredVoxels:
    """Voxels [K, J, I] after a header, in a plain file or in one gzip member."""
    content = HEADER + voxels.tobytes()
    path.write_bytes((gzip.compress(content) if packed else content) + tail)
    return StoredVoxels((path,), voxels.dtype, voxels.size, "gzip" if packed else "raw", skip=len(HEADER))


def random_voxels(dtype: str) -> np.ndarray[Any, Any]:
    return np.random.default_rng(2).integers(0, 200, SHAPE[::-1]).astype(dtype)


_rows = st.tuples(st.integers(0, 8), st.integers(1, 3), st.integers(0, 5), st.integers(1, 6))


@given(st.lists(_rows, min_size=1, max_size=6), st.booleans(), st.sampled_from(["u1", "<i2", ">u2", ">i4"]))
def test_boxes_are_those_of_the_array_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, boxes: Any, packed: bool, dtype: str
) -> None:
    voxels = random_voxels(dtype)
    stored = stored_at(tmp_path_factory.mktemp("boxes") / "file", voxels, packed=packed)
    assert stored.boxes_refusal == ""
    with stored.boxes(SHAPE, 3) as reader:
        for k, slices, j, rows in boxes:
            box = slice(j, min(j + rows, 6)), slice(k, min(k + slices, 9))
            read = reader.read(*box)
            np.testing.assert_array_equal(read[0], voxels[box[1], box[0]].T)
            assert read.dtype.isnative
            assert read.strides[1] == read.itemsize
        assert reader.finish() == []


CHANGED = r"file: changed while it was read, expected the file .* at the start \(wait until the file is complete"


def test_a_file_that_is_too_short_is_truncated(tmp_path: Path) -> None:
    stored = stored_at(tmp_path / "file", random_voxels("<i2"), packed=False)
    os.truncate(tmp_path / "file", 200)
    with (
        stored.boxes(SHAPE, 3) as reader,
        pytest.raises(InputError, match=r"truncated: found \d+ bytes of voxels, expected 756"),
    ):
        reader.read(slice(0, 6), slice(0, 9))


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("nbytes", [0, 60])
def test_a_file_that_becomes_shorter_has_changed(tmp_path: Path, packed: bool, nbytes: int, dtype: str) -> None:
    """Neither reading, nor counting, nor the end calls it truncated."""
    path = tmp_path / "file"
    stored = stored_at(path, random_voxels(dtype), packed=packed)
    is_read_ahead = packed  # the compressed file is so short that the thread has read all of it
    with stored.boxes(SHAPE, 3) as reader:
        reader.read(slice(0, 6), slice(0, 9))
        os.truncate(path, nbytes)
        with pytest.raises(InputError, match=CHANGED):
            reader.finish()
        if not is_read_ahead or dtype == "<f4":  # counting inflates the file again
            with pytest.raises(InputError, match=CHANGED):
                reader.count_not_finite(3) if dtype == "<f4" else reader.read(slice(0, 6), slice(0, 9))


def test_a_compressed_file_that_is_written_again_while_it_is_inflated_has_changed(
    tmp_path: Path,
) -> None:
    """In the midst of the old stream there are bytes of the new one."""
    path, voxels = tmp_path / "file", np.random.default_rng(1).integers(0, 255, (40, 1024, 1024)).astype(np.uint8)
    stored = stored_at(path, voxels, packed=True)
    with stored.boxes((1024, 1024, 40), 1) as reader:
        reader.read(slice(0, 1), slice(0, 1))
        stored_at(path, voxels[:30] // 2, packed=True)
        with pytest.raises(InputError, match=CHANGED):
            reader.read(slice(0, 1), slice(1, 40))


def test_a_file_that_can_no_longer_be_read_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems answer so when a file was deleted."""

    def stale(*_: Any) -> Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    stored = stored_at(tmp_path / "file", random_voxels("<i2"), packed=False)
    with stored.boxes(SHAPE, 3) as reader, monkeypatch.context() as patch:
        patch.setattr(os, "preadv", stale)
        patch.setattr(os, "fstat", stale)
        with pytest.raises(InputError, match="file: cannot be read: Stale file handle"):
            reader.read(slice(0, 6), slice(0, 9))


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_was_written_to_meanwhile_is_refused(tmp_path: Path, packed: bool) -> None:
    """Its first slices are of the old volume, the last ones of the new one."""
    path = tmp_path / "file"
    stored = stored_at(path, random_voxels("<i2"), packed=packed)
    with stored.boxes(SHAPE, 3) as reader:
        reader.read(slice(0, 6), slice(0, 3))
        before = path.stat().st_mtime_ns
        with path.open("r+b") as file:
            file.write(path.read_bytes())
        os.utime(path, ns=(before + 1000, before + 1000))
        reader.read(slice(0, 6), slice(6, 9))
        with pytest.raises(InputError, match=r"file: changed while it was read, expected the file .* at the start"):
            reader.finish()


def test_a_file_that_replaces_a_plain_one_does_not_matter(tmp_path: Path) -> None:
    path, voxels = tmp_path / "file", random_voxels("<i2")
    with stored_at(path, voxels, packed=False).boxes(SHAPE, 3) as reader:
        stored_at(tmp_path / "other", voxels + 1, packed=False).files[0].rename(path)
        np.testing.assert_array_equal(reader.read(slice(0, 6), slice(0, 9))[0], voxels.T)
        assert reader.finish() == []


@pytest.mark.parametrize("is_missing", [False, True])
def test_a_compressed_file_that_is_replaced_between_two_passes_is_refused(tmp_path: Path, is_missing: bool) -> None:
    path, voxels = tmp_path / "file", random_voxels("<f4")
    with stored_at(path, voxels, packed=True).boxes(SHAPE, 3) as reader:
        assert reader.count_not_finite(3) == 0
        if is_missing:
            path.unlink()
        else:
            stored_at(tmp_path / "other", voxels + 1, packed=True).files[0].rename(path)
        with pytest.raises(InputError, match="no such file" if is_missing else "changed while it was read"):
            reader.read(slice(0, 6), slice(0, 3))


@pytest.mark.parametrize("passes", [1, 2])
def test_a_compressed_file_that_is_replaced_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    """The reader has opened it before: it would compare a file that it does not read."""
    path, voxels = tmp_path / "file", random_voxels("<f4")
    stored, inflate = stored_at(path, voxels, packed=True), inflated_boxes.fill_inflated
    calls: list[Path] = []

    def replace_and_inflate(*arguments: Any, **named: Any) -> None:
        calls.append(path)
        if len(calls) == passes:
            stored_at(tmp_path / "other", voxels + 1, packed=True).files[0].rename(path)
        inflate(*arguments, **named)

    monkeypatch.setattr(inflated_boxes, "fill_inflated", replace_and_inflate)
    with stored.boxes(SHAPE, 3) as reader:
        for _ in range(passes - 1):
            reader.count_not_finite(3)
        with pytest.raises(InputError, match="file: changed while it was read"):
            reader.count_not_finite(3)


def _read_and_finish(reader: BoxReader) -> None:
    reader.read(slice(0, 2), slice(0, 1))
    reader.finish()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-6], "lacks its end and check sum"),
        (lambda content: content[:-8] + b"\0\0\0\0" + content[-4:], "damaged compressed data"),
        (lambda content: content[: len(content) // 2], "truncated"),
    ],
)
def test_damage_of_a_compressed_file_is_found_at_the_end(tmp_path: Path, damage: Any, message: str) -> None:
    """The only box is read before the damage; `finish` inflates the rest."""
    path = tmp_path / "file"
    stored = stored_at(path, random_voxels("<i2"), packed=True)
    path.write_bytes(damage(path.read_bytes()))
    with stored.boxes(SHAPE, 1) as reader, pytest.raises(InputError, match=message):
        _read_and_finish(reader)


def test_bytes_after_the_stream_are_a_warning(tmp_path: Path) -> None:
    stored = stored_at(tmp_path / "file", random_voxels("u1"), packed=True, tail=b"junk")
    with stored.boxes(SHAPE, 2) as reader:
        assert reader.finish() == ["bytes after the compressed stream are ignored"]


def test_a_reader_that_is_closed_early_ends_its_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflated_boxes, "_WAIT_S", 0.01)
    voxels = np.random.default_rng(1).integers(0, 255, (40, 1024, 1024)).astype(np.uint8)  # ten blocks
    stored = stored_at(tmp_path / "file", voxels, packed=True)
    with stored.boxes((1024, 1024, 40), 1) as reader:
        reader.read(slice(0, 1), slice(0, 1))
        assert isinstance(reader, inflated_boxes.InflatedBoxes)
        thread = reader._stream._thread
    assert not thread.is_alive()
