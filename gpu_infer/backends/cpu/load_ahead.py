"""Imports Numba and loads the kernels of a run in a thread, while the run reads its volume.

Reading leaves the interpreter lock free most of the time, and importing needs little else. The thread calls the
operations of a run on a few voxels each, as `warm_up` does, but compiles nothing: a kernel that is not in the cache is
compiled by the operation that needs it, which also raises what fails here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType

import numpy as np

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.kernels.cache import CACHE
from gpu_infer.backends.cpu.kernels.launch import FEW
from gpu_infer.backends.cpu.numba_variables import NUMBA_FILE
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.types import RollingSums
from gpu_infer.system.preload import preload

log = logging.getLogger(__name__)

_KERNELS = "gpu_infer.backends.cpu.kernels"
_N = 2
_SHAPE = (_N, _N, _N)
_ORIGIN = (0, 0, 0)


class KernelLoader:
    """A thread that takes steps; a context manager that ends it after the step in work.

    If the system allows no further thread, it takes none.
    """

    def __init__(self, steps: Sequence[Callable[[], object]]) -> None:
        self._ends = threading.Event()
        self._thread: threading.Thread | None = threading.Thread(target=self._run, args=(steps,), name="kernels")
        try:
            self._thread.start()
        except RuntimeError as error:
            log.debug("kernels are not loaded ahead: %s", error)
            self._thread = None

    def _run(self, steps: Sequence[Callable[[], object]]) -> None:
        for step in steps:
            if self._ends.is_set():
                return
            try:
                step()
            except BaseException:  # the operation that needs this raises it again, in the thread of its caller
                log.debug("kernels are not loaded ahead", exc_info=True)
                return

    def __enter__(self) -> KernelLoader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self.join()

    def join(self) -> None:
        """Wait for the end of the thread, if there is one."""
        if self._thread is not None:
            self._thread.join()


def load_kernels(
    stored: np.dtype[np.generic], model: np.dtype[np.generic], gathered: int, blended: int
) -> KernelLoader:
    """Begin to load the kernels of a plain run: resampling, windows, argmax and labels of 8 bits.

    Args:
        stored: Of the volume.
        model: Of the model's input and output.
        gathered: Voxels in the input of a request, of all its windows and channels.
        blended: Voxels in its output.
    """
    steps: list[Callable[[], object]] = [
        # the modules at once, and with them Numba: as an operation would, but without collections
        *(partial(_import, f"{_KERNELS}.{name}") for name in ("jit", "prepare", "pick", "windows", "finish", "labels"))
    ]
    if CACHE:  # otherwise every kernel is compiled
        steps += [
            partial(_cached, partial(step, CpuBackend())) for step in _operations(stored, model, gathered, blended)
        ]
    return KernelLoader(steps)


def _import(name: str) -> None:
    """Import a module of kernels, and with the first one Numba, without what Numba imports if it is installed.

    `coverage` counts only if it runs already, and PyYAML reads a file that is hardly ever there.
    """
    preload(name, without=["coverage"] if Path(NUMBA_FILE).exists() else ["coverage", "yaml"])


def _cached(step: Callable[[], object]) -> None:
    """Call `step` on one thread, up to the first kernel that is not in the cache."""
    numba, machine_code = import_module("numba"), import_module(f"{_KERNELS}.machine_code")
    numba.set_num_threads(1)  # of this thread only: OpenMP starts threads for each that begins a parallel region
    with machine_code.cached_only():
        try:
            step()
        except machine_code.NotCached as missing:
            log.debug("%s is not in the cache", missing)


def _operations(
    stored: np.dtype[np.generic], model: np.dtype[np.generic], gathered: int, blended: int
) -> list[Callable[[CpuBackend], None]]:
    """The operations of a run, in its order."""

    def resample(cpu: CpuBackend) -> None:
        same, tables = ClampedAffine(), (linear_table(_N, _N),) * 3
        cpu.resample(np.zeros((1, *_SHAPE), stored), np.zeros((1, *_SHAPE), model), tables, same, same)

    def gather(cpu: CpuBackend) -> None:
        cpu.gather(np.zeros((1, *_SHAPE), model), [_ORIGIN], np.empty((1, 1, *_like(gathered)), model), 0.0)

    def blend(cpu: CpuBackend) -> None:
        shape = _like(blended)
        rolling = RollingSums(np.zeros((1, *shape), np.float32), shape)
        cpu.blend(np.zeros((1, 1, *shape), model), [_ORIGIN], [1], None, rolling)

    def finish(cpu: CpuBackend) -> None:
        rolling = RollingSums(np.zeros((2, *_SHAPE), np.float32), _SHAPE)
        cpu.finish_argmax(rolling, _ORIGIN, _SHAPE, np.zeros(_SHAPE, np.uint8))

    def restore(cpu: CpuBackend) -> None:
        labels = np.zeros(_SHAPE, np.uint8)
        cpu.resample_labels(labels, (nearest_table(_N, _N),) * 3, np.zeros(_SHAPE, np.uint8))

    def count(cpu: CpuBackend) -> None:
        cpu.histogram(np.zeros(_SHAPE, np.uint8))

    return [resample, gather, blend, finish, restore, count]


def _like(voxels: int) -> tuple[int, int, int]:
    """A small shape for which the same kernel is started, on one thread or several, as for so many voxels."""
    return (1, 1, FEW + 1) if voxels > FEW else _SHAPE
