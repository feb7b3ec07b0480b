"""The local engine: the contract of all engines, several workers, a case that ends its worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_runs import BatchRun
from ending_component import DEADLY
from engine_contract import EngineContract
from operator_helpers import config, write_config, write_nifti

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.local import LocalEngine
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.run_batch import run_batch
from gpu_infer.cli.batch_progress import BatchWatcher
from gpu_infer.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


class TestLocalEngine(EngineContract):
    options = ("--lanes", "2")


class TestPart(EngineContract):
    """One part that has all cases."""

    options = ("--part", "1/1", "--lanes", "1")


def test_two_workers_share_the_cases(tmp_path: Path, triton_server: Any) -> None:
    run = BatchRun(tmp_path, triton_server.grpc, 8, "slow", ("--workers", "2", "--lanes", "1"))
    code, _, err = run.run("--json")
    assert code == 0, err
    run.check_labels()
    run.check_clean()


def test_a_server_that_is_away_stops_its_worker_alone(tmp_path: Path, triton_server: Any) -> None:
    run = BatchRun(tmp_path, triton_server.grpc, 6, "threshold_half")
    settings = Settings.from_environment({}, input=run.source, output=run.output, config=run.config, wait_s=2.0)
    servers = ("127.0.0.1:1", triton_server.grpc)
    job = BatchJob(settings, lanes=1, workers=2, servers=servers)
    cases = [Case(name, (run.source / f"{name}.nii.gz",)) for name in sorted(run.labels)]
    result = run_batch(job, cases, LocalEngine, BatchWatcher(None))
    assert (result.error, result.failures) == (None, [])  # the worker asks before it touches a case
    assert len(run.done()) == 6
    run.check_labels()
    run.check_clean()


def test_a_case_that_ends_its_worker_is_found(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = BatchRun(tmp_path, triton_server.grpc, 3, "threshold_half")
    write_nifti(run.source / "case01x.nii.gz", np.zeros((DEADLY, 9, 9), np.float32), np.eye(4))
    content = config("threshold_half", roi_size=[8, 8, 8])
    content["pre_transforms"].append({"path": "ending_component.Ending", "args": {"fields": "image"}})
    write_config(tmp_path / "config", content)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    code, out, err = run.run()
    assert code == 6, err
    assert out.startswith("crashed  case01x: ended its worker 2 times: SIGKILL")
    record = run.record("case01x")
    assert (record["status"], record["kind"], record["exit_code"], record["attempts"]) == ("crashed", "crash", 137, 2)
    run.check_labels()
    run.check_clean()
    assert json.loads((run.output / "summary.json").read_text())["failures"] == {"crash": 1}
