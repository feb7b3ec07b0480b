"""bench.windows on a tiny volume."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import windows


def test_every_setting_has_a_row_with_the_sides_that_are_installed(tmp_path: Path) -> None:
    windows.run(20, [8, 12], repeats=1, folder=tmp_path)
    written = json.loads((tmp_path / "windows.json").read_text(encoding="utf-8"))
    settings = {(row["window"], row["batch"], row["overlap"], row["mode"]) for row in written["rows"]}
    assert len(settings) == len(written["table"]) == 16
    names = [name for name, package in ((windows.TORCH, "torch"), (windows.MONAI, "monai")) if find_spec(package)]
    for row in written["rows"]:
        assert list(row)[4:] == [windows.NUMPY, *names]
    assert all(row["NumPy"] for row in written["table"])


def test_a_side_that_does_not_return_the_volume_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_unchanged", lambda tiles: tiles + 1)
    with pytest.raises(RuntimeError, match="gpu_infer, NumPy, 8³: differs from the volume by 1"):
        windows.run(16, [8], repeats=1, folder=tmp_path)
    assert not (tmp_path / "windows.json").exists()
