"""What an installation of the GPU path may lack, and what is said then: before a run has chosen the GPU, not in it."""

from __future__ import annotations

import logging
import os
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from packaging.requirements import Requirement

from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.gpu.compile.source import MODULES, cubin_name
from gpu_infer.doctor import host
from gpu_infer.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
NOT_FOUND = 'Failure finding "libnvrtc.so.13": No such file: libnvrtc.so.13\nsearched in site-packages'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GPU_INFER_KERNELS", raising=False)


@pytest.fixture
def without_nvrtc() -> Iterator[Any]:
    with simulated_cupy() as module:

        def missing(*_: object) -> None:
            raise RuntimeError(NOT_FOUND)

        nvrtc = sys.modules["cupy"].cuda.nvrtc  # type: ignore[attr-defined]
        nvrtc.getVersion = nvrtc.createProgram = missing
        yield module


def precompiled(folder: Path, modules: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
    """`folder` as an image build leaves it, for the simulated device."""
    with simulated_cupy(devices=0):
        from gpu_infer.backends.gpu.compile import modules as gpu_modules

        with patch.context() as inner:
            inner.setattr(gpu_modules, "MODULES", modules)
            gpu_modules.precompile(["sim"], folder)
    patch.setenv("GPU_INFER_KERNELS", str(folder))


# -- NVRTC ----------------------------------------------------------------------------------------------------------
def test_without_a_compiler_the_gpu_is_refused(without_nvrtc: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_backend("gpu")
    assert caught.value.message == (
        'CuPy finds no NVRTC, which compiles the kernels for sm_sim: Failure finding "libnvrtc.so.13": No such file: '
        "libnvrtc.so.13"
    )
    assert 'pip install "gpu-infer[cuda13]" (or [cuda12]' in str(caught.value.remedy)
    assert "GPU_INFER_KERNELS" in str(caught.value.remedy)


def test_without_a_compiler_auto_takes_the_cpu(without_nvrtc: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(choose_backend("auto"), CpuBackend)
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.getMessage().startswith("device auto: the CPU, because CuPy finds no NVRTC")
    assert "GPU_INFER_KERNELS" in record.getMessage()


def test_doctor_asks_whether_the_gpu_can_be_used(
    without_nvrtc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB, 580.65'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host.importlib.util, "find_spec", lambda _: object())
    check = host.check_gpu()
    assert check.status == "warn"
    assert check.found.startswith("NVIDIA H100, 81559 MiB, 580.65; CuPy finds no NVRTC")
    assert "gpu-infer[cuda13]" in str(check.remedy)
    with simulated_cupy():
        monkeypatch.setattr(host, "_GPU_PACKAGES", ("numpy", "no-such-package"))
        version = metadata.version("numpy")
        assert host.check_gpu().found == f"NVIDIA H100, 81559 MiB, 580.65; CuPy can use it (numpy {version})"


def test_kernels_of_an_image_need_no_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """One module is real and is run; that the others are there is enough to begin with."""
    folder = tmp_path / "kernels"
    precompiled(folder, ("statistics",), monkeypatch)
    (real,) = folder.glob("*.cubin")
    version = tuple(map(int, (folder / "nvrtc-version").read_text().split(".")))
    assert real.name == cubin_name("statistics", "sim", (version[0], version[1]))
    for name in {*MODULES} - {"statistics"}:
        (folder / cubin_name(name, "sim", (version[0], version[1]))).write_bytes(b"cubin")
    request.getfixturevalue("without_nvrtc")
    backend: Any = choose_backend("gpu")
    assert backend.histogram(backend.zeros((3, 3), np.uint8)).tolist() == [9]
    assert backend.counters()["kernels_compiled"] == 0


def test_each_module_that_is_compiled_is_a_notice_once(caplog: pytest.LogCaptureFixture) -> None:
    def notices() -> list[str]:
        return [record.getMessage() for record in caplog.records if getattr(record, "notice", False)]

    names = ("statistics", "masks")
    with simulated_cupy(), caplog.at_level(logging.INFO, "gpu_infer"):
        from gpu_infer.backends.gpu.compile.modules import MODULES, Kernels

        expected = [
            f"compiling CUDA module {number} of up to {len(MODULES)} (once): {name}.cu for sm_sim"
            for number, name in enumerate(names, 1)
        ]
        for modules in (names, names[:1]):  # the second object reads from the cache
            kernels = Kernels("sim")
            for module in modules:
                kernels._load(module)
            assert notices() == expected
    assert kernels.compiled == 0


def test_one_kernel_too_few_needs_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    precompiled(tmp_path / "kernels", ("statistics",), monkeypatch)
    request.getfixturevalue("without_nvrtc")
    with pytest.raises(ConfigError, match="CuPy finds no NVRTC"):
        choose_backend("gpu")


@pytest.mark.parametrize("text", [None, "", "twelve", "12.9.1"])
def test_kernels_of_an_unknown_compiler_are_those_of_the_present_one(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels"
    precompiled(folder, ("statistics",), monkeypatch)
    (folder / "nvrtc-version").unlink()
    if text is not None:
        (folder / "nvrtc-version").write_text(text)
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        backend.histogram(backend.zeros((3, 3), np.uint8))
        assert backend.counters()["kernels_compiled"] == 0


def test_precompiling_without_a_compiler_says_so(without_nvrtc: Any, tmp_path: Path) -> None:
    from gpu_infer.backends.gpu.compile.modules import precompile

    with pytest.raises(ConfigError, match="CuPy finds no NVRTC, which compiles the kernels: Failure finding"):
        precompile(["90"], tmp_path)
    assert not list(tmp_path.glob("*.cubin"))


# -- the extras -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("extra", "cupy", "nvrtc", "major"),
    [
        ("cuda12", "cupy-cuda12x", "nvidia-cuda-nvrtc-cu12", None),
        ("cuda13", "cupy-cuda13x", "nvidia-cuda-nvrtc", 13),
    ],
)
def test_an_extra_brings_cupy_and_the_compiler_that_it_finds(
    extra: str, cupy: str, nvrtc: str, major: int | None
) -> None:
    from deploy.gpu_check.host import LEAST_CUPY

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {r.name: r.specifier for r in map(Requirement, table[extra])}
    assert set(wanted) == {cupy, nvrtc, "tritonclient", "gpu-infer"}
    assert f"gpu-infer[{extra.replace('cuda', 'cucim')}]" in table[extra]
    assert not wanted[cupy].contains("13.6.0")  # looks for a toolkit alone, not for NVRTC's wheel
    assert [v for v in ("14.0.0", "14.0.1", "14.1.0", "14.1.1", "14.2.0") if wanted[cupy].contains(v)] == [
        "14.0.1",
        "14.1.1",
        "14.2.0",
    ]
    assert LEAST_CUPY == "13.6", "the GPU check's hosts have a toolkit"
    if major is not None:
        assert wanted[nvrtc].contains(f"{major}.5")
        assert not wanted[nvrtc].contains(f"{major + 1}.0")


@pytest.mark.parametrize("extra", ["cucim12", "cucim13"])
def test_cucim_comes_without_a_gigabyte_of_cuda_libraries(extra: str) -> None:
    """26.8 is the first release that requires `cupy[ctk]`."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (cucim,) = map(Requirement, table[extra])
    assert cucim.specifier.contains("26.6.0")
    assert not cucim.specifier.contains("26.8.0")
