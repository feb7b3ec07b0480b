"""Every kernel compiles for every supported GPU with both compilers, without a warning and without local memory."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from bench.sass.nvrtc import Compiled, Nvrtc, compile_once, library, nvrtc, report, warnings
from gpu_infer.backends.gpu.compile.source import MODULES, compile_options, kernel_source
from gpu_infer.backends.gpu.tables import SHARED_BYTES
from gpu_infer.system.resources import resource_folder

MAJORS = (12, 13)
# A100; A10 and RTX 30; L4, L40 and RTX 40; H100 and H200; B200; RTX 50 and RTX PRO Blackwell
ARCHITECTURES = ("80", "86", "89", "90", "100", "120")
# 65,536 registers per multiprocessor: with more than this per thread, blocks of 256 leave half of its threads unused.
MOST_REGISTERS = 128
# Modules that stage planes in dynamic shared memory: with a kernel's own, a block gets 48 KiB without asking for more.
TILED = ("prepare", "restore", "restore_argmax")


def _nvrtc(major: int) -> Nvrtc:
    if library(major) is None:
        pytest.skip(f"the extra `nvrtc` is not installed: no NVRTC of CUDA {major}")
    return nvrtc(major)


def _declared(source: str) -> set[str]:
    """Names of the kernels that no macro makes."""
    return set(re.findall(r'extern "C" __global__ void __launch_bounds__\(\d+, \d+\) (\w+)\(', source))


def test_every_kernel_file_is_a_module() -> None:
    assert {path.stem for path in resource_folder("kernels").glob("*.cu")} == set(MODULES)


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(("major", "arch"), list(itertools.product(MAJORS, ARCHITECTURES)))
def test_compiles_without_warnings_and_local_memory(
    major: int, arch: str, module: str, pytestconfig: pytest.Config
) -> None:
    source = kernel_source(module)
    cache = getattr(pytestconfig, "cache", None)  # not there under -p no:cacheprovider
    folder = cache.mkdir("nvrtc") if cache else None
    compiled = compile_once(_nvrtc(major), source, f"{module}.cu", compile_options(arch), folder)
    assert compiled.ok, compiled.log
    assert compiled.cubin[:4] == b"\x7fELF"
    assert warnings(compiled.log) == []
    assert compiled.kernels
    assert _declared(source) <= compiled.kernels.keys()
    in_memory = {name: kernel for name, kernel in compiled.kernels.items() if kernel.stack or kernel.spill_stores}
    assert in_memory == {}
    hungry = {name: kernel.registers for name, kernel in compiled.kernels.items() if kernel.registers > MOST_REGISTERS}
    assert hungry == {}
    if module in TILED:
        assert {
            n: kernel.shared for n, kernel in compiled.kernels.items() if kernel.shared + SHARED_BYTES > 48 << 10
        } == {}


@pytest.mark.parametrize("major", MAJORS)
def test_the_report_shows_local_memory(major: int) -> None:
    """The check above is worth something: an array with a dynamic index is seen."""
    source = """
    extern "C" __global__ void indexed(float* x, const int* at) {
        float held[40];
        for (int i = 0; i < 40; ++i) held[i] = x[i];
        for (int i = 0; i < 40; ++i) held[at[i]] += 1.0f;
        for (int i = 0; i < 40; ++i) x[i] = held[i];
    }
    extern "C" __global__ void plain(float* x) { x[threadIdx.x] += 1.0f; }
    """
    compiled = _nvrtc(major).compile(source, "probe.cu", compile_options("90"))
    assert compiled.ok, compiled.log
    assert compiled.kernels["indexed"].stack == 160
    assert compiled.kernels["plain"].stack == 0
    assert 0 < compiled.kernels["plain"].registers < 32


@pytest.mark.parametrize("major", MAJORS)
def test_warnings_are_seen(major: int) -> None:
    compiled = _nvrtc(major).compile(
        'extern "C" __global__ void f() { int unused; }', "probe.cu", compile_options("90")
    )
    assert compiled.ok
    assert "never referenced" in " ".join(warnings(compiled.log))


def test_what_was_compiled_is_compiled_again_when_anything_differs(tmp_path: Path) -> None:
    compiler, calls = _nvrtc(MAJORS[0]), []

    class Counted:
        version, build = compiler.version, compiler.build

        def compile(self, *arguments: Any) -> Compiled:
            calls.append(arguments)
            return compiler.compile(*arguments)

    def ask(source: str, options: tuple[str, ...], build: str = compiler.build) -> Compiled:
        counted: Any = Counted()
        counted.build = build
        return compile_once(counted, source, "probe.cu", options, tmp_path)

    good, other, bad = (f'extern "C" __global__ void f(float* x) {{ *x = {value}; }}' for value in ("1", "2", "y"))
    first = ask(good, compile_options("90"))
    assert ask(good, compile_options("90")) == first
    assert len(calls) == 1
    for changed in ((other, compile_options("90")), (good, compile_options("80")), (good, compile_options("90"), "x")):
        ask(*changed)
    assert len(calls) == 4
    for _ in range(2):
        assert not ask(bad, compile_options("90")).ok  # failures are not kept
    assert len(calls) == 6


def test_a_report_is_read() -> None:
    log = (
        "ptxas info    : Function properties for blend_f4\n"
        "ptxas         .     16 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads\n"
        "ptxas info    : Used 64 registers, used 1 barriers, 16384 bytes smem, 360 bytes cmem[0]\n"
    )
    kernel = report(log)["blend_f4"]
    assert (kernel.stack, kernel.spill_stores, kernel.spill_loads) == (16, 12, 8)
    assert (kernel.registers, kernel.shared) == (64, 16384)
    assert warnings(log) == []
