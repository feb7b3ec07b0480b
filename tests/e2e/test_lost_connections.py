"""Connections that are lost during a run of the whole operator: what was asked is asked once more, labels are right."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, operate, regions, write_nifti

from gpu_infer.errors import ServerError
from gpu_infer.inferers.windows import make_grid
from gpu_infer.progress import Progress
from gpu_infer.triton.local.serve import LocalServer

sys.path.append(str(Path(__file__).parents[1] / "triton"))
from cutting_proxy import CuttingProxy

MODELS = Path(__file__).parents[1] / "models"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


@pytest.mark.parametrize("data", ["system_shm", "inline"])
@pytest.mark.parametrize("control", ["grpc", "http"])
def test_a_connection_lost_before_the_first_window(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, control: str, data: str
) -> None:
    volume = np.random.default_rng(5).random((12, 10, 8)).astype(np.float32)
    write_nifti(tmp_path / "input" / "scan.nii", volume, np.eye(4))
    cut: list[str] = []
    with CuttingProxy(triton_server.grpc if control == "grpc" else triton_server.http) as proxy:

        def step(state: Progress) -> None:
            if state.stage in ("device", "plan", "infer") and state.stage not in cut:
                cut.append(state.stage)
                proxy.cut_next()

        from gpu_infer import app

        run = app.run
        monkeypatch.setattr("operator_helpers.run", lambda settings: run(settings, step))
        server = SimpleNamespace(grpc=proxy.address, http=proxy.address)
        result = operate(tmp_path, server, config("threshold_half", roi_size=[6, 6, 6]), control=control, require=data)
    assert cut == ["device", "plan", "infer"]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(result.output))).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, volume > 0.5)
    assert regions(triton_server) == []


def test_a_server_that_stays_away_is_waited_for_as_long_as_the_option_says(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nifti(tmp_path / "input" / "scan.nii", np.zeros((8, 8, 8), np.float32), np.eye(4))
    with CuttingProxy(triton_server.grpc) as proxy:

        def step(state: Progress) -> None:
            if state.stage == "plan" and state.done == 0:
                proxy.__exit__(None, None, None)

        from gpu_infer import app

        run = app.run
        monkeypatch.setattr("operator_helpers.run", lambda settings: run(settings, step))
        with pytest.raises(ServerError, match=r"which was not ready again within 1\.5 s") as caught:
            operate(
                tmp_path,
                SimpleNamespace(grpc=proxy.address),
                config("threshold_half", roi_size=[8, 8, 8]),
                control="grpc",
                data="inline",
                wait_s=1.5,
            )
    assert "--wait" in str(caught.value)


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_a_late_answer_changes_no_label(tmp_path: Path, control: str) -> None:
    """As tests/triton/test_late_answers.py: late scores of window 0 arrive while window 4 waits to be blended."""
    volume = np.random.default_rng(6).random((48, 8, 8)).astype(np.float32)
    grid = make_grid(volume.shape, (8, 8, 8))
    assert len(grid.visits) > 5
    volume[grid.visits[0].start], volume[grid.visits[3].start] = 3.0, 6.0  # seconds
    write_nifti(tmp_path / "input" / "scan.nii", volume, np.eye(4))
    shutil.copytree(MODELS / "sleeps_once", tmp_path / "models/sleeps_once", ignore=shutil.ignore_patterns("__pyc*"))
    with (
        LocalServer(tmp_path / "models") as triton,
        CuttingProxy(triton.grpc if control == "grpc" else triton.http) as proxy,
    ):
        cutter = threading.Thread(target=cut_when_it_sleeps, args=(tmp_path, proxy))
        cutter.start()
        server = SimpleNamespace(grpc=proxy.address, http=proxy.address)
        content = config("sleeps_once", roi_size=[8, 8, 8])
        result = operate(tmp_path, server, content, control=control, require="system_shm", slots=2, batch_size=1)
        cutter.join()
        assert regions(triton) == []
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(result.output))).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, volume > 0.5)
    assert result.data["triton"]["retries"] >= 1


def cut_when_it_sleeps(root: Path, proxy: CuttingProxy) -> None:
    while not list((root / "models" / "sleeps_once").glob("slept-*")):
        time.sleep(0.02)
    time.sleep(0.3)
    proxy.cut()
