"""A GPU without cuCIM: a filter runs on the host, and log and report say so. On simulated CUDA, with a real server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from operator_helpers import config, operate, write_nifti

pytestmark = pytest.mark.slow


def test_a_gpu_without_cucim_gives_the_same_labels(tmp_path: Path, triton_server: Any, no_leftovers: None) -> None:
    stored = np.random.default_rng(3).integers(-1, 6, (33, 21, 18)).astype(np.int16)
    chosen = config("classes5", roi_size=[12, 10, 8])
    chosen["pre_transforms"].append({"name": "GaussianSmooth", "args": {"fields": "image", "sigma": 0.6}})
    labels, reports = [], []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", stored, np.eye(4))
        with pytest.MonkeyPatch.context() as patch, simulated_cupy():
            open_segments_as_cuda(patch)
            patch.setitem(sys.modules, "cucim.skimage.filters", None)
            result = operate(tmp_path / device, triton_server, chosen, device=device)
        labels.append(np.fromfile(Path(result.output).with_suffix(".raw"), np.uint8))
        reports.append(result.data)
    np.testing.assert_array_equal(*labels)
    plain, ours = reports
    (step,) = ours["plan"]["steps"]
    assert step.startswith("filters: GaussianSmooth on the host, because cucim.skimage.filters.gaussian cannot be")
    assert step in ours["warnings"]
    assert plain["plan"]["steps"] == []
    smoothed = 4 * stored.size
    assert ours["gpu"]["bytes_up"] == stored.nbytes + smoothed
    assert ours["gpu"]["bytes_down"] == stored.size + smoothed
    assert ours["gpu"]["peak_device_bytes"] <= ours["memory"]["planned_device_peak_bytes"]
