"""The line `plan`: which plans are a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import model_of
from strip_runs import inputs_of_file, write_volume

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.doctor.check import Check
from gpu_infer.doctor.plan import check_plan
from gpu_infer.planning import free_memory, sizes
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import RunPlan

GIB = 1 << 30
THRESHOLD: list[dict[str, Any]] = [{"name": "ThresholdAcrossChannels", "args": {"fields": "model", "threshold": 0.5}}]


class _Backend(CpuBackend):
    def __init__(self, free: int) -> None:
        super().__init__()
        self._free = free

    def free_bytes(self) -> int:
        return self._free


@pytest.fixture
def large(tmp_path: Path) -> RunInputs:
    """16.8 GB of uint16 in a file of holes, which can be segmented strip by strip."""
    path = write_volume(tmp_path / "case.mhd", np.zeros((4, 4, 4), np.uint16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    path.write_text(path.read_text().replace("DimSize = 4 4 4", "DimSize = 2048 2048 2000"))
    with (tmp_path / "case.raw").open("r+b") as file:
        file.truncate(2048 * 2048 * 2000 * 2)
    return inputs_of_file(path, post=THRESHOLD)


def planned(inputs: RunInputs, free: int) -> tuple[RunPlan, Check]:
    plan, check = check_plan(inputs, [model_of(1, (128, 128, 128))], _Backend(free))
    assert plan is not None
    assert plan.strips is not None
    return plan, check


def test_strips_alone_are_no_warning(large: RunInputs) -> None:
    """Labels are the same, and nothing is to be done."""
    _, check = planned(large, 2 * GIB)
    assert (check.status, check.remedy) == ("ok", None)
    assert check.found.endswith(" GiB are free: strip by strip, with the same labels")


def test_strips_with_a_further_step_are_a_warning(large: RunInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (free_memory, sizes):
        monkeypatch.setattr(module, "resident_bytes", lambda: 0)
    plan, _ = planned(large, 2 * GIB)
    _, check = planned(large, plan.memory.host_peak - 1)
    assert (check.status, check.remedy) == ("warn", "give the run more memory")
    assert "; memory: volume and model need " in check.found
    assert ": strip by strip, with the same labels; memory: " in check.found
    assert check.found.endswith(": no spare slots, so that a lost connection ends the run")
