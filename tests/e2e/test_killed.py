"""Whole runs that are killed, or whose folders change while they run."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed_runs import kill_runs
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import ConfigError, ResourceError

pytestmark = pytest.mark.slow


def test_runs_killed_at_random_moments(tmp_path: Path, triton_server: Any) -> None:
    assert kill_runs(tmp_path, triton_server.grpc, moments=8, seed=3)["wrong"] == []


def test_an_output_folder_that_is_removed_during_the_inference(tmp_path: Path, triton_server: Any) -> None:
    write_nifti(tmp_path / "input/case.nii", np.zeros((30, 30, 30), np.float32), np.eye(4))

    def remove() -> None:
        while not (tmp_path / "output").is_dir():
            time.sleep(0.01)
        time.sleep(0.3)
        shutil.rmtree(tmp_path / "output")

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        with pytest.raises(
            ResourceError, match=r"output: removed while the run went on, expected the folder"
        ) as caught:
            operate(tmp_path, triton_server, config("slow", roi_size=[8, 8, 8]))
    finally:
        remover.join()
    assert caught.value.exit_code == 5


def test_a_series_in_a_folder_named_like_the_label_map_stays(tmp_path: Path, triton_server: Any) -> None:
    source = write_nifti(tmp_path / "input/case.nii", np.zeros((9, 9, 9), np.float32), np.eye(4))
    (tmp_path / "output/case.mhd").mkdir(parents=True)
    (tmp_path / "output/case.mhd/1.dcm").write_bytes(b"only copy")
    with pytest.raises(ConfigError, match=r"output/case\.mhd: found a folder, expected no file or an older output"):
        operate(tmp_path, triton_server, config("threshold_half", roi_size=[8, 8, 8]))
    assert (tmp_path / "output/case.mhd/1.dcm").read_bytes() == b"only copy"
    assert source.exists()


def test_published_into_the_inputs_folder(tmp_path: Path, triton_server: Any) -> None:
    source = write_nifti(tmp_path / "input/case.nii", np.zeros((9, 9, 9), np.float32), np.eye(4))
    before = (source.read_bytes(), source.stat().st_ino)
    source.chmod(0o600)
    for _ in range(2):
        content = config("threshold_half", roi_size=[8, 8, 8])
        result = operate(tmp_path, triton_server, content, input=source, publish=source.parent, preview=True)
        assert [w for w in result.data["warnings"] if "every voxel is 0" not in w] == []  # of this volume
        assert source in result.published
        assert (source.read_bytes(), source.stat().st_ino) == before
    assert [(tmp_path / f"input/case.{end}").stat().st_mode & 0o777 for end in ("mhd", "raw")] == [0o600, 0o600]
