"""Workers of the local engine that do not come up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jobs import make_case, make_job

from gpu_infer.batch.engines import worker_process
from gpu_infer.batch.engines.local import LocalEngine
from gpu_infer.batch.job import BatchJob
from gpu_infer.errors import ConfigError, ResourceError


def run(job: BatchJob, root: Path) -> list[str]:
    outcomes = LocalEngine().outcomes(job, [make_case(root)], lambda *_: None)
    return [outcome.status for outcome in outcomes]


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL, most likely out of memory"),
        ("print('no message')", "exit code 0"),
    ],
)
def test_a_worker_that_ends_before_its_first_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, how: str
) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", command)
    with pytest.raises(ResourceError, match=f"worker 0 ended before its first case: {how}"):
        run(make_job(tmp_path), tmp_path)


def test_a_configuration_that_only_the_worker_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path)
    job.settings.config.write_text("{}")
    with pytest.raises(ConfigError, match=re.escape(str(job.settings.config))):
        run(job, tmp_path)


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ResourceError, match="no process for worker 0: "):
        run(make_job(tmp_path), tmp_path)


def test_nothing_to_do_starts_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert list(LocalEngine().outcomes(make_job(tmp_path), [], lambda *_: None)) == []
