"""The lines that name the files of a run."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.app import RunResult
from gpu_infer.cli.run import written


def test_dicom_files_are_listed_and_pictures_by_their_folder() -> None:
    out = Path("out")
    files = [out / "ct.seg.dcm", out / "ct.sc/0001.dcm", out / "ct.sc/0002.dcm"]
    result = RunResult(out / "ct.mhd", None, None, {}, label_maps=[out / "ct.mhd"], dicom=files)
    assert written(result) == ["labels   out/ct.mhd", "dicom    out/ct.seg.dcm", "dicom    out/ct.sc"]
