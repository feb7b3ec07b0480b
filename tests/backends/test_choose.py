"""Which backend is chosen, and what is said where there is no GPU."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[2] / "gpu_infer"


def without_cupy(patch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("gpu_infer.backends.gpu.backend")]:
        patch.delitem(sys.modules, name)
    patch.setitem(sys.modules, "cupy", None)


def test_without_cupy_on_a_machine_with_a_gpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_cupy(monkeypatch)
    monkeypatch.setattr("gpu_infer.backends.choose.has_nvidia_gpu", lambda: True)
    with pytest.raises(ConfigError, match="device gpu: CuPy cannot be imported") as caught:
        choose_backend("gpu")
    assert 'pip install "gpu-infer[cuda13]"' in (caught.value.remedy or "")
    with caplog.at_level(logging.INFO):
        assert isinstance(choose_backend("auto"), CpuBackend)
    assert "device auto: the CPU, because device gpu: CuPy cannot be imported" in caplog.text


def test_without_cupy_and_without_a_gpu_nobody_is_advised_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_cupy(monkeypatch)
    monkeypatch.setattr("gpu_infer.backends.choose.has_nvidia_gpu", lambda: False)
    with pytest.raises(ConfigError, match="device gpu: CuPy cannot be imported") as caught:
        choose_backend("gpu")
    assert caught.value.remedy == (
        "this machine shows no NVIDIA GPU: run with --device cpu, or start the container with --gpus all"
    )
    with caplog.at_level(logging.INFO):
        assert isinstance(choose_backend("auto"), CpuBackend)
    assert caplog.messages == ["device auto: the CPU, because this machine shows no NVIDIA GPU"]


def test_without_a_device(caplog: pytest.LogCaptureFixture) -> None:
    with simulated_cupy(devices=0):
        with pytest.raises(ConfigError, match="no CUDA device can be used: cudaErrorNoDevice") as caught:
            choose_backend("gpu")
        assert "--gpus all" in (caught.value.remedy or "")
        with caplog.at_level(logging.INFO):
            assert isinstance(choose_backend("auto"), CpuBackend)
        assert "because no CUDA device can be used" in caplog.text


def test_with_a_device_auto_takes_it_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with simulated_cupy(), caplog.at_level(logging.INFO):
        backend = choose_backend("auto")
        assert backend.name == "gpu"
        assert choose_backend("gpu") is backend  # one per process
        assert isinstance(choose_backend("cpu"), CpuBackend)
    assert "device: GpuBackend(device=0, sm_sim)" in caplog.text


def test_an_unknown_device() -> None:
    with pytest.raises(ConfigError, match="device 'tpu' is unknown"):
        choose_backend("tpu")


def test_the_simulator_is_out_of_reach_of_the_package() -> None:
    """No file of the package knows it, and no environment variable or option brings it in."""
    for path in PACKAGE.rglob("*.py"):
        assert "cudasim" not in path.read_text(encoding="utf-8"), path
    code = "import gpu_infer.cli.main, gpu_infer.app, sys; print([n for n in sys.modules if 'cudasim' in n])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == "[]"


def test_the_simulator_leaves_no_trace() -> None:
    before = {n for n in sys.modules if n == "cupy" or n.startswith("gpu_infer.backends.gpu.backend")}
    with simulated_cupy() as module:
        assert sys.modules["cupy"].__version__ == "0 (simulated)"
        assert module.GpuBackend().name == "gpu"
    assert {n for n in sys.modules if n == "cupy" or n.startswith("gpu_infer.backends.gpu.backend")} == before
