"""The lanes of a batch in one worker process of Dask, in this process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_stand_in
import pytest

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines import dask_task
from gpu_infer.batch.engines.dask_dealing import Attempt
from gpu_infer.batch.inputs import look_at_inputs
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import FILE, failed_record, write_record
from gpu_infer.settings import Settings


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dask_task.Batch]:
    monkeypatch.setattr(dask_task, "Worker", dask_stand_in.StandIn)
    monkeypatch.setattr(dask_task, "remove_leftovers", lambda settings: None)
    (tmp_path / "out").mkdir()
    yield dask_task.Batch("token", BatchJob(Settings(tmp_path, tmp_path / "out"), 2), 0, logging.INFO)
    assert not dask_task._running


def attempt(folder: Path, number: int, text: str) -> Attempt:
    path = folder / f"c{number}.nii"
    path.write_text(text)
    return Attempt(number, Case(path.stem, (path,)))


def test_a_session_without_cases_is_closed_for_a_while(
    batch: dask_task.Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_task, "IDLE_S", 0.2)
    sent: list[Any] = []
    lanes = dask_task._BatchLanes(batch, sent.append)
    dask_task._running["token"] = lanes
    first = lanes.run(attempt(tmp_path, 0, "ok"))
    assert isinstance(first, Outcome)
    assert ["log", "gpu_infer.stand_in", logging.INFO, "c0: ok", None, False] in sent
    until = time.monotonic() + 10
    while dask_task._running:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert (tmp_path / "out" / "closed").read_text() == f"{os.getpid()}\n"
    assert lanes.run(attempt(tmp_path, 1, "ok")) is None  # the task opens another one


def test_a_case_that_hangs_does_not_hold_up_the_end(
    batch: dask_task.Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_task, "GIVE_UP_S", 0.2)
    goes_on = threading.Event()
    monkeypatch.setattr(dask_stand_in.StandIn, "_wait", lambda *_: goes_on.wait())
    lanes = dask_task._BatchLanes(batch, lambda message: None)
    dask_task._running["token"] = lanes
    answers: list[Any] = []
    task = threading.Thread(target=lambda: answers.append(lanes.run(attempt(tmp_path, 0, "slow 1"))))
    task.start()
    log = tmp_path / "out" / "c0" / "log"
    while not log.exists():
        time.sleep(0.02)
    lanes.end()
    task.join(5)
    assert [answer.exit_code for answer in answers] == [130]
    assert not (tmp_path / "out" / "closed").exists()
    goes_on.set()
    until = time.monotonic() + 10
    while not (tmp_path / "out" / "closed").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_only_a_state_of_this_batch_ends_a_repeated_task(batch: dask_task.Batch, tmp_path: Path) -> None:
    case = attempt(tmp_path, 0, "ok").case
    assert dask_task._ended(batch, case) is None
    folder = batch.job.case_folder(case)
    outcome = Outcome("c0", "failed", error="no", kind="input", exit_code=3)
    write_record(folder, failed_record(case, job_key(batch.job), outcome, look_at_inputs(case)))
    written = (folder / FILE).stat().st_mtime_ns
    this, later = (dask_task.Batch("token", batch.job, written + after, 20) for after in (0, 1))
    again = dask_task._ended(this, case)
    assert again is not None
    assert (again.status, again.error, again.kind, again.exit_code, again.skipped) == (
        "failed",
        "no",
        "input",
        3,
        False,
    )
    assert dask_task._ended(later, case) is None


def test_what_a_host_sees(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.write_text("token")
    assert dask_task.check_host(str(probe), "token", [str(tmp_path)]) is None
    assert dask_task.check_host(str(probe), "another", []) == str(probe)
    assert dask_task.check_host(str(tmp_path / "none"), "token", []) == str(tmp_path / "none")
    assert dask_task.check_host(str(probe), "token", [str(tmp_path), "/no/such"]) == "/no/such"
