"""Fields of MetaImage headers: what is no header, and headers that do not fit their voxels."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from gpu_infer.errors import ResourceError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.header_fields import check_header, read_fields
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

GRID = Geometry((4, 3, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 1, 0)


def test_fields_by_key(tmp_path: Path) -> None:
    text = "NDims=3\n DimSize = 4 3 2 \nElementType = MET_UCHAR\nElementDataFile = a=b.raw\nX = 1"
    (tmp_path / "a.mhd").write_text(text)
    assert read_fields(tmp_path / "a.mhd") == {
        "NDims": "3",
        "DimSize": "4 3 2",
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "a=b.raw",
    }


def test_voxels_of_another_size(tmp_path: Path) -> None:
    mhd, raw = write_label_maps({"model": LabelMap(LABELS, "uint8")}, GRID, tmp_path, "ct")["model"]["mhd"]
    fields = read_fields(mhd)
    assert fields is not None
    check_header(mhd, fields, 24)
    raw.write_bytes(bytes(23))
    with pytest.raises(ResourceError, match=r"ct\.raw: 23 bytes, expected 24 as ct\.mhd says"):
        check_header(mhd, fields, 24)


@pytest.mark.parametrize("text", ["", "NDims = 3\n", "\0" * 70_000, "NDims = 3\nfree text\nElementDataFile = a.raw\n"])
def test_what_is_no_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.mhd").write_text(text)
    assert read_fields(tmp_path / "a.mhd") is None


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("nothing", "folder", "loop", "fifo", "socket"):
            assert read_fields(tmp_path / name) is None
