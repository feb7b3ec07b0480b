"""Several cases of a session at once, which are segmented strip by strip."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config, write_config, write_nifti

from gpu_infer.errors import ResourceError
from gpu_infer.planning import strips, volume_choice
from gpu_infer.session import one_case
from gpu_infer.session.case_memory import CaseMemory
from gpu_infer.session.result import RunResult
from gpu_infer.session.session import Session
from gpu_infer.settings import Settings


@pytest.mark.slow
def test_a_case_that_waits_for_memory_does_not_stop_the_one_that_has_it(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)
    fit = volume_choice.fit_memory

    def fit_strips(plan: Any, free: Any) -> Any:
        if not plan.knobs.strips:
            raise ResourceError("too little memory", remedy="none")
        return fit(plan, free)

    monkeypatch.setattr(volume_choice, "fit_memory", fit_strips)

    waits = threading.Event()

    def fits_alone(self: CaseMemory, plan: Any, limit: int | None) -> bool:
        if self._in_work:
            waits.set()
        return not self._in_work

    monkeypatch.setattr(CaseMemory, "_fits", fits_alone)
    in_strips = one_case.run_in_strips

    def later(*arguments: Any) -> Any:
        waits.wait(1)
        return in_strips(*arguments)

    monkeypatch.setattr(one_case, "run_in_strips", later)

    path = write_config(tmp_path / "config", config("threshold_half", roi_size=[16, 16, 16]))
    first = Settings.from_environment(
        {"NVIDIA_TRITON_GRPCURI": triton_server.grpc}, input=tmp_path, output=tmp_path, config=path, device="cpu"
    )
    cases = []
    for name in ("a", "b"):
        volume = write_nifti(tmp_path / f"{name}.nii", np.ones((20, 20, 20), np.float32), np.eye(4))
        cases.append(replace(first, input=volume, output=tmp_path / name, logs=tmp_path / name))
    results: list[RunResult] = []
    with Session(first) as session:

        def work(case: Settings) -> None:
            results.append(session.run(case))

        threads = [threading.Thread(target=work, args=(case,), daemon=True) for case in cases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(results) == 2
    for result in results:
        assert result.data["plan"]["strips"]
