"""What `gpu-infer view` shows of real runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import ModelError
from gpu_infer.view.study import open_study

pytestmark = pytest.mark.slow

AFFINE = np.diag([-1, -1, 1, 1.0])
FOLDERS = {"input": Path("scans/a.nii"), "output": Path("out"), "logs": Path("out/logs")}


def test_a_run_with_relative_paths_is_shown_from_elsewhere(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after a failed run, and with a warning if the input has changed."""
    data = np.random.default_rng(1).random((9, 8, 7), dtype=np.float32)
    write_nifti(tmp_path / "scans/a.nii", data, AFFINE)
    monkeypatch.chdir(tmp_path)
    operate(tmp_path, triton_server, config("threshold_half", roi_size=[8, 8, 8]), **FOLDERS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    caplog.clear()
    study = open_study(tmp_path / "out")
    np.testing.assert_array_equal(study.maps[0].labels, data > 0.5)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        operate(tmp_path, triton_server, config("fails", roi_size=[8, 8, 8]), **FOLDERS)
    write_nifti(tmp_path / "scans/a.nii", 1 - data, AFFINE)
    monkeypatch.chdir(tmp_path / "elsewhere")
    caplog.clear()
    study = open_study(tmp_path / "out")
    np.testing.assert_array_equal(study.maps[0].labels, data > 0.5)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings[0].startswith(f"{tmp_path}/out/logs/report.json: the last run failed: ")
    assert warnings[1].startswith(f"{tmp_path}/scans/a.nii: changed since the run")
