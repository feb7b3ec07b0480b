"""Older outputs by their contents; where they may be replaced: test_collisions.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.system.resources import resource_folder
from gpu_infer.writers.recognise import (
    copies_comment,
    is_copy,
    is_header,
    is_meta,
    is_preview,
    is_render_settings,
    is_voxels,
)

PLAIN = "ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nElementType = MET_UCHAR\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{PLAIN}ElementDataFile = a.raw\n", True),
        (f"Comment = gpu_infer copies 1:2\n{PLAIN}ElementDataFile = a.raw\n", True),
        (f"Comment = mine\n{PLAIN}ElementDataFile = a.raw\n", False),
        (f"{PLAIN}ITK_InputFilterName = MetaImageIO\nElementDataFile = a.raw\n", False),
        (PLAIN, False),
    ],
)
def test_headers(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "a.mhd").write_text(text)
    assert is_header(tmp_path / "a.mhd") is expected


def test_voxels_belong_to_the_header_that_names_them(tmp_path: Path) -> None:
    header = tmp_path / "a.mhd"
    assert not is_voxels(tmp_path / "a.raw", header)
    header.write_text(f"{PLAIN}ElementDataFile = a.zraw\n")
    assert is_voxels(tmp_path / "a.zraw", header)
    assert not is_voxels(tmp_path / "a.raw", header)


def test_a_png_without_the_mark_is_no_preview(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 2), np.uint8)), tmp_path / "a.png")
    assert not is_preview(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"tEXtSoftware\0gpu_infer")
    assert not is_preview(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"name": "m", "settings": "s"}, True),
        ({"name": "m", "settings": "s", "density": "d", "seg_masks": [], "data": []}, True),
        ({"name": "m"}, False),
        ({"name": "m", "settings": "s", "other": 1}, False),
        (["name", "settings"], False),
    ],
)
def test_config_meta(tmp_path: Path, content: object, expected: bool) -> None:
    (tmp_path / "config.meta").write_text(json.dumps(content))
    assert is_meta(tmp_path / "config.meta") is expected


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"1" + b" " * (1 << 20)])
def test_files_that_are_no_json_or_too_large(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not is_meta(tmp_path / "a")
    assert not is_render_settings(tmp_path / "a")


def test_render_settings(tmp_path: Path) -> None:
    assert is_render_settings(resource_folder("config") / "config_render.json")
    (tmp_path / "a").write_text('{"name": "m"}')
    assert not is_render_settings(tmp_path / "a")


def test_copies_by_digest_or_by_contents(tmp_path: Path) -> None:
    source, copy, density = tmp_path / "in" / "ct.nii.gz", tmp_path / "ct.nii.gz", tmp_path / "ct.mhd"
    source.parent.mkdir()
    source.write_bytes(b"voxels")
    copy.write_bytes(b"voxels")
    assert is_copy(copy, source, density)  # equal, without any header
    density.write_text(f"Comment = {copies_comment({source: source.name})}\n{PLAIN}ElementDataFile = ct.raw\n")
    source.write_bytes(b"newer voxels")
    assert is_copy(copy, source, density)  # as published
    copy.write_bytes(b"VOXELS")
    assert not is_copy(copy, source, density)
