"""Custom inferers and writers against a real server: labels, memory, sessions, batches of options, and refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_runs import module_of
from label_files import labels_of
from local_ring import LocalRing
from operator_helpers import config, operate, write_config, write_nifti
from traced_memory import traced

from gpu_infer.backends.cpu import load_ahead
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.base import ModelSizes
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.session.session import Session
from gpu_infer.settings import Settings

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
AFFINE = np.diag([-1.0, 1.0, 1.0, 1.0])
SHAPE = (23, 21, 18)
MODULE = """
import threading
import numpy as np
from gpu_infer.inferers.base import Inferer
from gpu_infer.writers.base import Writer

class Whole(Inferer):
    name = "Whole"
    def infer(self, volume, model, backend):
        # one window is as large as the volume
        return model.infer(volume[None])[0]

class Alone(Whole):
    name = "Alone"
    def infer(self, volume, model, backend):
        if "kernels" in [thread.name for thread in threading.enumerate()]:
            raise RuntimeError("kernels are loaded meanwhile")
        return super().infer(volume, model, backend)

class Bad(Inferer):
    name = "Bad"
    def infer(self, volume, model, backend):
        return model.infer(volume[None])

class Count(Writer):
    name = "Count"
    calls = 0
    def file_names(self, name):
        return [f"{name}.count.txt"]
    def write(self, result, folder):
        self.calls += 1
        path = folder / f"{result.name}.count.txt"
        voxels = int(np.count_nonzero(result.labels))
        counted = sum(e["voxels"] for label, e in result.report["labels"].items() if label != "0")
        path.write_text(f"{self.calls} {result.field} {voxels} {counted} {result.geometry.shape}")
        return [path]

class Fails(Count):
    name = "Fails"
    def write(self, result, folder):
        (folder / f"{result.name}.count.txt").write_text("half")
        raise ValueError("no")
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_of_test.py").write_text(MODULE)
    for folder in (tmp_path, EXAMPLES / "own_inferer", EXAMPLES / "own_writer"):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "own_of_test", raising=False)


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module on simulated CUDA, or on the device with nothing patched."""
    yield from module_of(request)


def voxels(seed: int = 3) -> Any:
    return np.random.default_rng(seed).integers(-1, 6, SHAPE).astype(np.int16)


def centre(model: str = "classes5", **inferer: Any) -> dict[str, Any]:
    chosen = config(model)
    args = {"model_name": model, "roi_size": [12, 10, 8], "margin": 2, **inferer}
    chosen["inferer"] = {"path": "centre_windows.CentreWindows", "args": args}
    return chosen


def expected(data: Any) -> Any:
    """The model rounds to the nearest of five classes."""
    return np.clip(data, 0, 4)


@pytest.mark.parametrize("control", ["grpc", "http"])
@pytest.mark.parametrize("data", ["system_shm", "inline"])
def test_labels_on_the_cpu(tmp_path: Path, triton_server: Any, control: str, data: str) -> None:
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    result = operate(tmp_path, triton_server, centre(slots=3), device="cpu", control=control, require=data)
    np.testing.assert_array_equal(labels_of(result), expected(voxels()))
    windows = -(-23 // 8) * -(-21 // 6) * -(-18 // 4)
    batch = result.data["tiles"]["batch"]
    calls = [min(2 * batch, windows - first) for first in range(0, windows, 2 * batch)]
    assert result.data["triton"]["requests"] == sum(-(-count // batch) for count in calls)
    assert result.data["tiles"]["inferer"] == "CentreWindows"


def test_no_kernels_are_loaded_ahead_while_a_component_runs(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may start parallel code of its own, and not every threading layer of Numba lets two threads do so."""
    steps = [lambda cpu: time.sleep(0.02)] * 500
    monkeypatch.setattr(load_ahead, "_operations", lambda *arguments: steps)
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    content = centre()
    content["inferer"] = {"path": "own_of_test.Alone", "args": {"model_name": "classes5", "roi_size": list(SHAPE)}}
    np.testing.assert_array_equal(
        labels_of(operate(tmp_path, triton_server, content, device="cpu")), expected(voxels())
    )


@pytest.mark.parametrize("data", ["cuda_shm", "system_shm", "inline"])
def test_labels_on_a_gpu(tmp_path: Path, triton_server: Any, gpu: Any, data: str) -> None:
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    result = operate(tmp_path, triton_server, centre(), device="gpu", require=data)
    np.testing.assert_array_equal(labels_of(result), expected(voxels()))
    assert result.data["gpu"]["peak_device_bytes"] <= result.data["memory"]["planned_device_peak_bytes"]


def test_a_half_precision_model(tmp_path: Path, triton_server: Any) -> None:
    data = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    write_nifti(tmp_path / "input/case.nii", data, AFFINE)
    args = {"model_name": "threshold_half_fp16", "roi_size": [16, 16, 16], "margin": 1}
    result = operate(tmp_path, triton_server, centre(**args), device="cpu")
    np.testing.assert_array_equal(labels_of(result), data.astype(np.float16) > 0.5)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_model_with_channels_last(tmp_path: Path, triton_server: Any, simulated: Any, device: str) -> None:
    data = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    write_nifti(tmp_path / "input/case.nii", data, AFFINE)
    content = centre("channels_last", roi_size=[16, 16, 16])
    content["pre_transforms"][1] = {"name": "ConvertToChannelsLast", "args": {"fields": "image"}}
    np.testing.assert_array_equal(labels_of(operate(tmp_path, triton_server, content, device=device)), data > 0.5)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_scores_become_labels_and_go_through_a_linear_restore(
    tmp_path: Path, triton_server: Any, simulated: Any, device: str
) -> None:
    """The same as the built-in inferer of one request."""
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    for chain in ("argmax first", "restore first"):
        content = config("classes5", resolution=(1.2, 1.0, 1.0))
        if chain == "restore first":
            argmax, _, restore = content["post_transforms"]
            restore["args"]["is_label"] = False
            content["post_transforms"] = [restore, argmax]
        content["inferer"] = {"name": "TRTISSimpleInferer", "args": {"model_name": "classes5"}}
        simple = labels_of(operate(tmp_path, triton_server, content, device=device))
        grid = [round(23 / 1.2), 21, 18]
        content["inferer"] = {"path": "own_of_test.Whole", "args": {"model_name": "classes5", "roi_size": grid}}
        np.testing.assert_array_equal(labels_of(operate(tmp_path, triton_server, content, device=device)), simple)
        assert len(np.unique(simple)) == 5


def test_the_plan_counts_what_the_inferer_has(tmp_path: Path, triton_server: Any) -> None:
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    result = operate(tmp_path, triton_server, centre(batch_size=2), device="cpu")
    (line,) = [line for line in result.data["plan"]["memory"] if line.startswith("custom inferer")]
    nbytes = 4 * 12 * 10 * 8 * (1 + 5) * 4  # two requests of two windows, and five scores of each voxel, in float32
    assert line.split()[-2:] == [f"{nbytes / 2**20:.1f}", "MiB"]


def test_the_example_has_no_more_memory_than_it_says(tmp_path: Path) -> None:
    sizes = ModelSizes((90, 80, 70), (32, 32, 32), 2, 1, 3, np.dtype(np.float32))
    inferer = load_config(write_config(tmp_path, centre()), {}).own_inferer
    assert inferer is not None
    ring: Any = LocalRing(lambda windows: np.repeat(windows, 3, axis=1), 2, 2, 1, sizes.window)
    client = ModelClient(ring, CpuBackend(), sizes, lambda _: None)
    volume = np.ones((1, *sizes.grid), np.float32)
    inferer.infer(volume, client, CpuBackend())  # kernels are compiled
    labels, peak = traced(lambda: inferer.infer(volume, client, CpuBackend()))
    answers = sizes.request_bytes(2) * 2  # the answers of this ring are arrays of their own, unlike slots
    assert peak <= inferer.scratch_bytes(sizes) + labels.nbytes + answers + (64 << 10)


def test_each_run_of_a_session_has_copies_of_the_components(tmp_path: Path, triton_server: Any) -> None:
    content = centre()
    content["writers"].append({"path": "own_of_test.Count"})
    path = write_config(tmp_path / "config", content)
    cases = [write_nifti(tmp_path / f"{n}.nii", voxels(n), AFFINE) for n in range(2)]
    settings = Settings.from_environment(
        {"NVIDIA_TRITON_GRPCURI": triton_server.grpc},
        input=cases[0],
        output=tmp_path / "out",
        logs=tmp_path / "out",
        publish="",
        config=path,
        device="cpu",
    )
    with Session(settings) as session:
        for number, case in enumerate(cases):
            folder = tmp_path / "out" / str(number)
            result = session.run(replace(settings, input=case, output=folder, logs=folder))
            np.testing.assert_array_equal(labels_of(result), expected(voxels(number)))
            count = np.count_nonzero(expected(voxels(number)))
            file = folder / f"{number}.count.txt"
            assert file.read_text() == f"1 model {count} {count} {SHAPE}"
            assert result.own == [file]
            assert result.data["own_writers"] == [{"writer": "Count", "field": "model", "files": [str(file)]}]
            assert json.loads((folder / "report.json").read_text())["own_writers"] == result.data["own_writers"]


def test_what_a_failing_writer_leaves(tmp_path: Path, triton_server: Any) -> None:
    """The label map, which was written before, and no file of the writer."""
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    content = config("classes5", roi_size=[12, 10, 8])
    content["writers"].append({"path": "own_of_test.Fails"})
    with pytest.raises(ConfigError) as caught:
        operate(tmp_path, triton_server, content, device="cpu")
    line = MODULE.splitlines().index('        raise ValueError("no")') + 1
    assert str(caught.value) == (
        f"{tmp_path}/config/config_inference.json: writers[1]: Fails: write failed: ValueError: no (fix the "
        f"component at own_of_test.py, line {line}; --debug shows the traceback)"
    )
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == ["case.mhd", "case.raw"]
    assert json.loads((tmp_path / "logs/report.json").read_text())["status"] == "failed"


def test_a_writer_that_would_replace_another_output(tmp_path: Path, triton_server: Any) -> None:
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    content = config("classes5", roi_size=[12, 10, 8])
    content["writers"] += [{"path": "own_of_test.Count"}, {"path": "own_of_test.Fails"}]
    with pytest.raises(ConfigError, match=r"case\.count\.txt: an output of Fails and another output would have this"):
        operate(tmp_path, triton_server, content, device="cpu")
    assert list((tmp_path / "output").iterdir()) == []


def test_a_wrong_result_names_the_inferer(tmp_path: Path, triton_server: Any) -> None:
    case = write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    content = config("classes5")
    content["inferer"] = {"path": "own_of_test.Bad", "args": {"model_name": "classes5", "roi_size": list(SHAPE)}}
    path = write_config(tmp_path / "config", content)
    folders = ["--output", tmp_path / "out", "--logs", tmp_path / "logs", "--publish", ""]
    options = ["--config", path, "--triton", triton_server.grpc, "--device", "cpu", "--wait", "30"]
    command = [sys.executable, "-m", "gpu_infer", "run", "--input", case, *folders, *options]
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=False, timeout=120)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        f"gpu-infer: error: {path}: inferer: Bad: infer: expected scores as a numpy array (5, 23, 21, 18) float32, "
        "found ndarray (1, 5, 23, 21, 18) float32 (fix the component)",
    )


@pytest.mark.parametrize(("option", "value"), list(product(["scores"], ["1"])) + list(product(["uncertainty"], [True])))
def test_maps_of_scores_are_refused(tmp_path: Path, triton_server: Any, option: str, value: Any) -> None:
    write_nifti(tmp_path / "input/case.nii", voxels(), AFFINE)
    with pytest.raises(ConfigError) as caught:
        operate(tmp_path, triton_server, centre(), device="cpu", **{option: value})
    assert str(caught.value) == (
        f"--{option}: probabilities are made while windows are blended, and CentreWindows is a custom inferer (leave "
        "it out, or use a scanning-window inferer)"
    )
