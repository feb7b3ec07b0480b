"""bench.files on a tiny volume, with and without SimpleITK."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import files
from bench.support import ct

READ = ["read .nii.gz", "read .nii"]
BY_ITK = [*files.PLAIN, *files.PACKED.values(), *(f"read {what}" for what in files.DICOM)]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ct.phantom((20, 18, 12))
    monkeypatch.setattr(ct, "load", lambda path: small)


def actual(folder: Path) -> dict[str, list[str]]:
    sides: dict[str, list[str]] = {}
    for row in json.loads((folder / "files.json").read_text(encoding="utf-8"))["table"]:
        sides.setdefault(row["what"], []).append(row["side"])
    return sides


def test_without_simpleitk_its_rows_are_left_out_and_named(tiny: None, tmp_path: Path) -> None:
    files.run(None, 1, memory=False, with_itk=False, folder=tmp_path)
    sides = actual(tmp_path)
    assert list(sides) == [*READ, "write labels"]
    assert sides["write labels"] == ["gpu_infer", "nibabel .nii", "nibabel .nii.gz"]
    assert "SimpleITK" not in {side for row in sides.values() for side in row}
    written = json.loads((tmp_path / "files.json").read_text(encoding="utf-8"))
    assert written["skipped"] == ["SimpleITK", *BY_ITK]
    assert any("SimpleITK is not installed" in note for note in written["notes"])


def test_with_it_all_formats_are_read(tiny: None, tmp_path: Path) -> None:
    files.run(None, 1, memory=False, with_itk=True, folder=tmp_path)
    sides = actual(tmp_path)
    assert list(sides) == [*READ, *BY_ITK, "write labels"]
    assert all("SimpleITK" in row and "gpu_infer" in row for row in sides.values())


@pytest.mark.slow
def test_the_memory_of_each_reader_is_measured_in_a_process_of_its_own(tiny: None, tmp_path: Path) -> None:
    files.run(None, 1, with_itk=False, folder=tmp_path)
    written = json.loads((tmp_path / "files.json").read_text(encoding="utf-8"))
    for row in written["table"]:
        if row["what"] == "write labels":
            assert row["memory"] == ""
            continue
        memory = written[row["what"]][row["side"]]["memory"]
        assert memory["voxel_bytes"] == 20 * 18 * 12 * 2
        ratio = (memory["peak_bytes"] - memory["before_bytes"]) / memory["voxel_bytes"]
        assert row["memory"] == f"{ratio:.2f}×"


def test_importing_it_imports_no_simpleitk() -> None:
    code = "import sys; sys.modules['SimpleITK'] = None; import bench.files"
    root = Path(files.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
