"""The planned memory of several models, beside the peak of a process that does nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_gpu_infer
from operator_helpers import write_config, write_nifti
from several_models import content

pytestmark = pytest.mark.slow

SHAPE, WINDOW = (200, 180, 160), [100, 90, 80]
MEAN: list[dict[str, Any]] = [{"model_name": "places3d"}, {"model_name": "classes3"}]
UNION: list[dict[str, Any]] = [{"model_name": "classes5", "offset": 0}, {"model_name": "threshold_half", "labels": [9]}]


@pytest.mark.parametrize(
    ("entries", "combine", "options"),
    [
        (MEAN, "mean", ("--scores", "0,1,2", "--scores-activation", "softmax", "--scores-format", "nii.gz")),
        (UNION, "union", ()),
    ],
)
def test_the_peak_stays_below_the_plan(
    entries: list[dict[str, Any]], combine: str, options: tuple[str, ...], tmp_path: Path, triton_server: Any
) -> None:
    volume = np.random.default_rng(7).random(SHAPE, dtype=np.float32) * 2
    write_nifti(tmp_path / "case.nii", volume, np.eye(4))
    made = content(entries, combine=combine, roi_size=WINDOW)
    settings = write_config(tmp_path / "config", made)
    folders = ("--output", str(tmp_path / "out"), "--logs", str(tmp_path / "logs"), "--publish", "")
    done = run_gpu_infer(
        *("run", "--input", str(tmp_path / "case.nii"), "--config", str(settings), *folders, *options),
        NVIDIA_TRITON_GRPCURI=triton_server.grpc,
        HOME=str(Path.home()),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "logs" / "report.json").read_text(encoding="utf-8"))
    assert report["model"]["combine"] == combine
    assert volume.nbytes < report["peak_rss_bytes"] <= report["memory"]["planned_peak_bytes"]
    assert not report["plan"]["strips"]
