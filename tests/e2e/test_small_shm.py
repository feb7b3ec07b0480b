"""A /dev/shm without space for the slots: the plan that is printed counts what inline requests hold."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import ResourceError
from gpu_infer.planning import volume_choice
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.memory_plan import INLINE_COPIES
from gpu_infer.triton.shm import host_arenas as regions

pytestmark = pytest.mark.slow

PROBE = 1 << 16  # more than the transport's first look asks for, less than any slot
COPIES = "requests with voxels in them"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data = (np.random.default_rng(3).random((40, 40, 40)) * 2).astype(np.float32)
    write_nifti(tmp_path / "input/case.nii", data, np.eye(4))
    return tmp_path


def arena_bytes(batch: int, slots: int) -> int:
    """Two classes out, one channel in, float32."""
    return slots * batch * 3 * 32**3 * 4


def lines_about(text: str, words: str) -> list[str]:
    return [line for line in text.splitlines() if words in line]


def test_found_out_before_the_plan(
    root: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(regions, "_free", lambda _folder: PROBE)
    with caplog.at_level(logging.INFO):
        result = operate(root, triton_server, config("threshold_half", roi_size=[32, 32, 32]), batch_size=1)
    report = result.data
    assert report["triton"]["data"] == "inline"
    assert [item["choice"] for item in report["triton"]["skipped"]] == ["cuda_shm", "system_shm"]
    assert any(line.startswith(COPIES) for line in report["plan"]["memory"])
    assert len(lines_about(caplog.text, "taking inline")) == 1
    assert len(lines_about(caplog.text, " windows of ")) == 1  # one plan, and a true one
    # with a choice by name it is an error, before any voxel is prepared
    with pytest.raises(ResourceError, match=r"of shared memory, but /dev/shm has.*omit --data and --require"):
        operate(root, triton_server, config("threshold_half", roi_size=[32, 32, 32]), data="system_shm")


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_found_out_after_the_plan(
    root: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, control: Any
) -> None:
    """Another process takes the space in between."""
    reserve = os.posix_fallocate

    def full(fd: int, offset: int, length: int) -> None:
        if length > PROBE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reserve(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", full)
    with caplog.at_level(logging.INFO):
        result = operate(
            root, triton_server, config("threshold_half", roi_size=[32, 32, 32]), control=control, batch_size=1
        )
    report = result.data
    assert report["triton"]["data"] == "inline"
    assert report["tiles"]["slots"] == 2
    assert len(lines_about(caplog.text, " windows of ")) == 2
    copies = INLINE_COPIES[control] * arena_bytes(1, 2)
    (line,) = [line for line in report["plan"]["memory"] if line.startswith(COPIES)]
    assert line.split()[-2:] == [f"{copies / 2**20:.1f}", "MiB"]
    assert report["memory"]["planned_peak_bytes"] > copies


def test_memory_that_does_not_suffice_for_requests_means_fewer_slots(
    root: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = config("threshold_half", roi_size=[32, 32, 32])
    roomy = operate(root, triton_server, content, batch_size=1, data="inline")
    fit_memory = volume_choice.fit_memory
    free = roomy.data["memory"]["planned_peak_bytes"]

    def tight(plan: Any, _free: Any) -> Any:
        # what the plan without copies needs, and half of what the requests of two slots hold
        return fit_memory(plan, FreeMemory(host=plan.host_peak - plan.message_bytes // 2))

    monkeypatch.setattr(volume_choice, "fit_memory", tight)
    monkeypatch.setattr(regions, "_free", lambda _folder: PROBE)
    result = operate(root, triton_server, content, batch_size=1)
    assert result.data["tiles"]["slots"] == 1
    assert any("slots 2 → 1" in step for step in result.data["plan"]["steps"])
    assert free > 0
    assert (root / "output/case.raw").read_bytes() == Path(roomy.raw).read_bytes()
