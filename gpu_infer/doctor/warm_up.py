"""Compiles the kernels of a backend, so that no run does."""

from __future__ import annotations

from collections.abc import Callable

from gpu_infer.backends.base.backend import Backend


def warm_up(backend: Backend, progress: Callable[[str], object]) -> None:
    """Compile the kernels of `backend` into its cache folder; of a GPU, also those that a run may start on the host.

    Args:
        backend: That of the runs.
        progress: Receives one line before each part.

    Raises:
        ConfigError: The compiler of CUDA refuses.
        DeviceError: The device fails.
    """
    from gpu_infer.backends.cpu.warm_up import common_steps, sums_steps
    from gpu_infer.backends.cpu.warm_up import warm_up as warm_up_cpu

    if backend.name == "cpu":
        warm_up_cpu(
            lambda name, number, total: progress(f"compiling kernels, {number} of {total}: {name}"), common_steps()
        )
        return
    if missing := backend.missing_kernels():
        progress(f"compiling {len(missing)} CUDA modules: {', '.join(missing)}")
        backend.warm_up()
    warm_up_cpu(
        lambda name, number, total: progress(f"compiling kernels of the host, {number} of {total}: {name}"),
        sums_steps(),
    )
