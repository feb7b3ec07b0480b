"""Several models with a real server: the mean of their scores against NumPy, window by window."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from label_files import labels_of
from numpy.typing import NDArray
from operator_helpers import operate, regions, write_config, write_nifti
from several_models import SHAPE, assert_argmax, content, mean_scores

pytestmark = pytest.mark.slow


@pytest.fixture
def case(tmp_path: Path) -> NDArray[np.float32]:
    data = np.random.default_rng(7).random(SHAPE, dtype=np.float32) * 2
    write_nifti(tmp_path / "input/case.nii.gz", data, np.diag([0.8, 0.9, 2.0, 1.0]))
    return data


PAIR = ("places3d", "classes3")
GRIDS: list[dict[str, Any]] = [
    {},
    {"mode": "monai", "overlap": [0.5, 0.5, 0.5], "blend": "gaussian"},
    {"mode": "nnunet", "mirror_axes": [0, 2]},
]


@pytest.mark.parametrize("arguments", GRIDS)
@pytest.mark.parametrize("weights", [(1, 1), (1, 3)])
def test_the_mean_of_two_models(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32], weights: tuple[int, int], arguments: dict[str, Any]
) -> None:
    entries = [{"model_name": name, "weight": w} for name, w in zip(PAIR, weights, strict=True)]
    expected = mean_scores(case, dict(zip(PAIR, weights, strict=True)), **arguments)
    options: dict[str, Any] = {"scores": "0,1,2", "scores_activation": "softmax", "scores_dtype": "float32"}
    result = operate(tmp_path, triton_server, content(entries, **arguments), scores_format="nii.gz", **options)
    assert_argmax(labels_of(result), expected)
    likely = np.exp(expected - expected.max(0))
    for path, probability in zip(result.scores, likely / likely.sum(0), strict=True):
        written = np.asanyarray(nib.load(path).dataobj)
        np.testing.assert_allclose(written, probability, rtol=0, atol=2e-6)
    shares = [row["weight"] for row in result.data["model"]["models"]]
    assert shares == [weight / sum(weights) for weight in weights]
    assert result.data["model"]["combine"] == "mean"
    assert result.data["triton"]["requests"] == 2 * -(-result.data["tiles"]["inferred"] // 4)
    assert not regions(triton_server)


@pytest.mark.parametrize("weights", [(1, 1), (1, 3)])
def test_labels_do_not_depend_on_slots_batches_slab_and_transport(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32], weights: tuple[int, int]
) -> None:
    entries = [{"model_name": name, "weight": w} for name, w in zip(PAIR, weights, strict=True)]
    runs: list[dict[str, Any]] = [
        {"slots": 1, "batch_size": 1, "slab": False},
        {"slots": 3, "batch_size": 2, "data": "inline"},
        {"slots": 2, "batch_size": 4, "data": "system_shm", "control": "http"},
        {"slots": 1, "batch_size": 3, "data": "inline", "control": "http", "slab": False},
    ]
    labels = [labels_of(operate(tmp_path, triton_server, content(entries), **options)) for options in runs]
    assert set(np.unique(labels[0])) >= {0, 1}
    for other in labels[1:]:
        np.testing.assert_array_equal(other, labels[0])


def test_an_interrupt_unregisters_the_slots_of_all_models(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32]
) -> None:
    """Requests of both models are in flight: that of the slow one may still write its scores."""
    path = write_config(tmp_path / "config", content(["slow", "threshold_half"]))
    arguments = ["run", "-i", tmp_path / "input", "-o", tmp_path / "output", "--logs", tmp_path / "logs"]
    arguments += ["--config", path, "--triton", triton_server.grpc, "--batch-size", "1", "--slots", "3"]
    command = [sys.executable, "-m", "gpu_infer", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8")
    end = time.monotonic() + 60
    while not regions(triton_server):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert not regions(triton_server)
    assert not list(Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"))
    assert not list((tmp_path / "output").glob("*.mhd"))
