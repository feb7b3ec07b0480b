"""The simulator itself: barriers, conversions, atomics, and errors that AddressSanitizer must report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim.compiler import Module, compile_program, create_program

TESTS = Path(__file__).resolve().parents[1]
ORDERS = ("forward", "reversed", "scattered")

KERNELS = """
struct Reverse { int* values; int rounds; };
extern "C" __global__ void reverse(const __grid_constant__ Reverse a) {
    __shared__ int shared[64];
    const int n = threadIdx.y * blockDim.x + threadIdx.x;
    int* mine = a.values + blockIdx.x * 64;
    for (int round = 0; round < a.rounds; round++) {
        shared[n] = mine[n];
        __syncthreads();
        mine[n] = shared[63 - n];
        __syncthreads();
    }
}
extern "C" __global__ void reverse_without_barriers(const __grid_constant__ Reverse a) {
    __shared__ int shared[64];
    const int n = threadIdx.y * blockDim.x + threadIdx.x;
    shared[n] = a.values[n];
    a.values[n] = shared[a.rounds];
}
struct Counted { unsigned int* total; unsigned int* least; };
extern "C" __global__ void counted(const __grid_constant__ Counted a) {
    atomicAdd(a.total, threadIdx.x);
    atomicMin(a.least, blockIdx.x + 5);
}
struct Halves { unsigned short* bits; float* values; int size; };
extern "C" __global__ void widened(const __grid_constant__ Halves a) {
    const int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n < a.size) a.values[n] = half_to_float(a.bits[n]);
}
extern "C" __global__ void narrowed(const __grid_constant__ Halves a) {
    const int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n < a.size) a.bits[n] = float_to_half(a.values[n]);
}
struct Beyond { int* values; int at; };
extern "C" __global__ void beyond(const __grid_constant__ Beyond a) {
    DYNAMIC_SHARED(unsigned char, area);
    if (a.at < 0) area[-a.at] = 1;
    else a.values[a.at] = 1;
}
"""


@pytest.fixture(scope="module")
def kernels() -> Any:
    program = create_program(KERNELS, "own.cu", (), ())
    compile_program(program, ("--fmad=false",))
    module = Module()
    module.load(program.library)
    return module


def struct(*fields: Any) -> Any:
    """Pointers of arrays and 32-bit numbers as a struct by value."""
    kinds, values = [], []
    for n, field in enumerate(fields):
        is_array = isinstance(field, np.ndarray)
        kinds.append((f"f{n}", "u8" if is_array else "i4"))
        values.append(field.ctypes.data if is_array else field)
    return np.array(tuple(values), np.dtype(kinds, align=True))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rounds", [0, 1, 2, 5])
def test_barriers_separate_what_threads_write_and_read(
    kernels: Any, rounds: int, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDASIM_ORDER", order)
    values = np.arange(64 * 9, dtype=np.int32)
    kernels.get_function("reverse")((9,), (32, 2), (struct(values, rounds),))
    expected = np.arange(64 * 9).reshape(9, 64)
    np.testing.assert_array_equal(values.reshape(9, 64), expected[:, ::-1] if rounds % 2 else expected)


def test_another_order_of_threads_shows_that_a_barrier_is_missing(
    kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {}
    for n, order in enumerate(ORDERS):
        monkeypatch.setenv("CUDASIM_ORDER", order)
        values = np.arange(64, dtype=np.int32) + 100 * n
        kernels.get_function("reverse_without_barriers")((1,), (32, 2), (struct(values, 0),))
        right[order] = bool((values == 100 * n).all())
    # in order, the first thread has always written before the others read
    assert right == {"forward": True, "reversed": False, "scattered": False}


def test_atomics(kernels: Any) -> None:
    total, least = np.zeros(1, np.uint32), np.full(1, 99, np.uint32)
    kernels.get_function("counted")((200,), (100,), (struct(total, least),))
    assert (total[0], least[0]) == (200 * 4950, 5)


def test_every_half_is_what_numpy_makes_of_it(kernels: Any) -> None:
    bits = np.arange(1 << 16).astype(np.uint16)
    values = np.empty(bits.size, np.float32)
    kernels.get_function("widened")((256,), (256,), (struct(bits, values, bits.size),))
    np.testing.assert_array_equal(values, bits.view(np.float16).astype(np.float32))


def test_floats_are_rounded_to_half_as_numpy_does(kernels: Any) -> None:
    rng = np.random.default_rng(0)
    exact = np.arange(0, 1 << 16, 7).astype(np.uint16).view(np.float16).astype(np.float32)
    exact = exact[np.isfinite(exact)]
    near = np.concatenate([exact, np.nextafter(exact, np.float32(9e9)), (exact[1:] + exact[:-1]) / 2])
    values = np.concatenate([near, rng.normal(size=4000), rng.normal(size=4000) * 1e-6, [65519.9, 65520, -1e9]])
    values = values.astype(np.float32)
    bits = np.empty(values.size, np.uint16)
    kernels.get_function("narrowed")((values.size // 256 + 1,), (256,), (struct(bits, values, values.size),))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(bits, values.astype(np.float16).view(np.uint16))


def test_a_launch_that_cuda_would_refuse_is_refused(kernels: Any) -> None:
    with pytest.raises(AssertionError, match="invalid grid"):
        kernels.get_function("counted")((0,), (1,), (struct(np.zeros(1), np.zeros(1)),))
    with pytest.raises(AssertionError, match="bytes of shared memory"):
        kernels.get_function("counted")((1,), (1,), (struct(np.zeros(1), np.zeros(1)),), shared_mem=50_000)


def under_asan(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a process with AddressSanitizer on every kernel and device allocation."""
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, encoding="utf-8", check=True)
    environ = {
        **os.environ,
        "CUDASIM_ASAN": "1",
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": str(TESTS / "support"),
    }
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", check=False, env=environ, cwd=TESTS.parent
    )


@pytest.mark.slow
@pytest.mark.parametrize(("at", "caught"), [(3, False), (4, True), (-15, False), (-16, True)])
def test_address_sanitizer_catches_one_element_too_far(at: int, caught: bool) -> None:
    """In device memory of 4 numbers, or in shared memory of 16 bytes."""
    code = (
        "import sys; sys.path.insert(0, 'tests/cudasim')\n"
        "from test_cudasim import *\n"
        "from cudasim.memory import Memory\n"
        "program = create_program(KERNELS, 'own.cu', (), ()); compile_program(program, ('--fmad=false',))\n"
        "module = Module(); module.load(program.library)\n"
        "memory = Memory(16)\n"
        "argument = np.array((memory.ptr, AT), np.dtype([('p', 'u8'), ('n', 'i4')], align=True))\n"
        "module.get_function('beyond')((1,), (1,), (argument,), shared_mem=16)\n"
    ).replace("AT", str(at), 1)
    done = under_asan("-c", code)
    assert (done.returncode != 0) == caught, done.stderr[-2000:]
    assert ("heap-buffer-overflow" in done.stderr) == caught, done.stderr[-2000:]


@pytest.mark.slow
def test_the_contract_under_address_sanitizer() -> None:
    """Every operation over the contract's shapes, none of which reads or writes outside its arrays."""
    done = under_asan(
        "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/contract/test_contract_sim.py",
        "-k", "not InAnotherOrder",
        "--deselect", "tests/contract/test_contract_sim.py::TestSimulated::test_too_much_memory_is_a_resource_error",
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert " passed" in done.stdout
