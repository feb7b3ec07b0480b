"""Leftovers that a local server of a killed run still maps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from triton_fakes import FakeServer

from gpu_infer.doctor.leftovers import clean_leftovers
from gpu_infer.triton.shm.leftovers import Leftover


@pytest.fixture
def leftover(tmp_path: Path) -> Leftover:
    path = tmp_path / "gpu_infer-1-0123456789abcdef"
    path.touch()
    return Leftover(path.name, 1, path, 0, None)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What each look at the users of the segment finds; the last one lasts."""
    answers: list[list[str]] = []
    monkeypatch.setattr(
        "gpu_infer.triton.shm.segment_users.mapped_by", lambda _path: answers.pop(0) if answers[1:] else answers[0]
    )
    return answers


def test_a_local_server_that_ends_is_waited_for(
    leftover: Leftover, users: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_infer.triton.local.ending.is_ending", lambda pid: pid == 77)
    users += [["77 (tritonserver)"], ["77 (tritonserver)"], []]
    (check,) = clean_leftovers([leftover], FakeServer().client())
    assert (check.status, check.found.partition(":")[0]) == ("ok", "removed")
    assert not leftover.path.exists()


def test_a_local_server_that_takes_longer_ends_by_itself(
    leftover: Leftover, users: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_infer.triton.local.ending.is_ending", lambda pid: pid == 77)
    monkeypatch.setattr("gpu_infer.triton.local.ending.ENDS_WITHIN_S", 0.3)
    users += [["77 (tritonserver)"]]
    (check,) = clean_leftovers([leftover], FakeServer().client())
    assert check.status == "warn"
    assert check.remedy == "the local server of a killed run ends by itself within a minute: --clean again"
    assert leftover.path.exists()


def test_another_server_must_be_named(leftover: Leftover, users: list[list[str]]) -> None:
    users += [[f"{os.getpid()} (python)"]]
    (check,) = clean_leftovers([leftover], FakeServer().client())
    assert check.remedy == "name the server that this process is with --triton, and --clean again"
    assert leftover.path.exists()


def test_a_server_that_ends_between_two_looks_needs_no_name(
    leftover: Leftover, users: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its supervisor was there at the first look, and has ended when it is examined."""
    monkeypatch.setattr("gpu_infer.triton.local.ending.is_ending", lambda _pid: False)
    users += [["77 (tritonserver)"], []]
    (check,) = clean_leftovers([leftover], FakeServer().client())
    assert (check.status, check.found.partition(":")[0]) == ("ok", "removed")
    assert not leftover.path.exists()
