"""The Python examples of docs/library.md run as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, write_config, write_nifti
from page_blocks import ROOT, python_example

from gpu_infer.triton.local.serve import LocalServer


@pytest.mark.slow
@pytest.mark.parametrize("heading", ["The operator as a library", "Many volumes"])
def test_the_operator(
    heading: str,
    triton_server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "my_config", config("threshold_half", roi_size=[16, 16, 16]))
    (tmp_path / "scans").mkdir()
    voxels = np.random.default_rng(2).integers(-1000, 1000, (2, 24, 20, 18), np.int16)
    for number, data in enumerate(voxels):
        write_nifti(tmp_path / "scans" / f"case{number}.nii.gz", data, np.eye(4))
    (tmp_path / "scans" / "broken.nii.gz").write_bytes(b"no volume")
    names: dict[str, Any] = {}
    exec(python_example(ROOT / "docs/library.md", heading).replace("localhost:8001", triton_server.grpc), names)
    assert "broken" in capsys.readouterr().out
    for number in range(2):
        labels = sitk.ReadImage(str(tmp_path / "out" / f"case{number}" / f"case{number}.mhd"))
        assert labels.GetSize() == (24, 20, 18)
        assert set(np.unique(sitk.GetArrayFromImage(labels))) == {0, 1}
    assert names["result"].label_maps == [names["result"].output]
