"""The job of one worker: its server, and how many others use it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from jobs import make_job

SERVERS = ("a:8001", "b:8001")


def test_servers_are_dealt_in_turn(tmp_path: Path) -> None:
    job = replace(make_job(tmp_path), servers=SERVERS, workers=3)
    jobs = [job.worker_job(number) for number in range(3)]
    assert [each.settings.triton_either for each in jobs] == ["a:8001", "b:8001", "a:8001"]
    assert [each.clients for each in jobs] == [2, 1, 2]
    assert job.worker_job(4, workers=9).clients == 5


@pytest.mark.parametrize(("local", "clients"), [(False, 3), (True, 1)])
def test_a_server_of_its_own_is_shared_with_nobody(tmp_path: Path, local: bool, clients: int) -> None:
    job = replace(make_job(tmp_path), workers=3)
    if local:
        job = replace(job, settings=replace(job.settings, local_models=tmp_path))
    assert job.worker_job(1).clients == clients


def test_a_job_can_be_sent(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    assert pickle.loads(pickle.dumps(job)) == job
