"""Reads regular files only, and small ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpu_infer.system.regular_file import MOST_BYTES, read_bytes


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00\r\n")
    assert read_bytes(tmp_path / "file") == b"\x00\r\n"


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="it is no regular file"):
        read_bytes(tmp_path / "fifo")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        read_bytes(tmp_path)


def test_the_largest_file_and_one_byte_more(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stream:
        stream.truncate(MOST_BYTES)
    assert len(read_bytes(tmp_path / "file")) == MOST_BYTES
    with (tmp_path / "file").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(OSError, match="more than 16 MiB"):
        read_bytes(tmp_path / "file")
