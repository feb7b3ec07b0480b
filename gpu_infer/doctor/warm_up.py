"""Compiles the kernels of a backend, so that no run does."""

from __future__ import annotations

from collections.abc import Callable

from gpu_infer.backends.base.backend import Backend


def warm_up(backend: Backend, progress: Callable[[str], object]) -> None:
    """Compile the kernels of `backend` into its cache folder.

    Args:
        backend: That of the runs.
        progress: Receives one line before each part.

    Raises:
        ConfigError: The compiler of CUDA refuses.
        DeviceError: The device fails.
    """
    if backend.name == "cpu":
        from gpu_infer.backends.cpu.warm_up import warm_up as warm_up_cpu

        warm_up_cpu(lambda name, number, total: progress(f"compiling kernels, {number} of {total}: {name}"))
    elif missing := backend.missing_kernels():
        progress(f"compiling CUDA kernels: {', '.join(missing)}")
        backend.warm_up()
