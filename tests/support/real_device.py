"""The CUDA device of this machine, for tests that otherwise run on simulated CUDA."""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any

from gpu_infer.errors import GpuInferError
from gpu_infer.triton.local.install import install, installed


@functools.cache
def why_no_device() -> str | None:
    """The reason why a test on the device cannot run here, or None. CuPy is not used: it may be a stand-in."""
    if PathFinder.find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"no CUDA driver: {error}"
    count = ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return None if status == 0 and count.value else f"no CUDA device: error {status}, {count.value} devices"


@functools.cache
def why_no_triton() -> str | None:
    """Why no local Triton can be started, or None; installs it if it is not installed."""
    try:
        if installed() is None:
            install()
    except GpuInferError as error:
        return f"no Triton: {error.message}"
    return None


@contextmanager
def real_gpu() -> Iterator[Any]:
    """The GPU backend's module without a backend yet: what follows finds no memory and no kernels of earlier tests."""
    module = import_module("gpu_infer.backends.gpu.backend")
    module.shared_backend.cache_clear()
    gc.collect()
    try:
        yield module
    finally:
        module.shared_backend.cache_clear()
        gc.collect()
