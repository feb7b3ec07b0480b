"""An input that another program replaces after the plan: one line, exit code 3, and no file, in both kinds of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.planning import strips, volume_choice
from gpu_infer.session import one_case

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("in_strips", [False, True])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_file_that_is_replaced_after_the_plan_leaves_no_output(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, ending: str, in_strips: bool
) -> None:
    voxels = np.random.default_rng(4).integers(0, 3, (20, 18, 16)).astype(np.int16)
    path = write_nifti(tmp_path / f"input/case.{ending}", voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
    plan, fit = one_case._plan, volume_choice.fit_memory

    def fit_strips(plan: Any, free: Any) -> Any:
        if in_strips and not plan.knobs.strips:
            raise ResourceError("too little memory", remedy="none")
        return fit(plan, free)

    def plan_and_replace(*arguments: Any) -> Any:
        run_plan = plan(*arguments)
        assert (run_plan.strips is not None) is in_strips
        other = write_nifti(tmp_path / f"other.{ending}", voxels[::-1].copy(), np.diag([1.0, -1.0, 1.0, 1.0]))
        other.replace(path)
        return run_plan

    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)
    monkeypatch.setattr(volume_choice, "fit_memory", fit_strips)
    monkeypatch.setattr(one_case, "_plan", plan_and_replace)
    with pytest.raises(InputError, match="changed since its header was read") as caught:
        operate(tmp_path, triton_server, config("threshold_half", roi_size=[12, 12, 12]), device="cpu")
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "output").iterdir()) == []
    assert json.loads((tmp_path / "logs" / "report.json").read_text())["status"] == "failed"
