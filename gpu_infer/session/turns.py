"""The turns of a run on the reader, the backend and the writer of its session, and its memory on the backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.base.upload import Upload
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.report import Report
from gpu_infer.session.shared import Shared


@contextmanager
def take_turn(lock: Lock, report: Report) -> Iterator[None]:
    """Hold the lock; the time until it is free is the stage "wait", unless it is free at once."""
    if not lock.acquire(blocking=False):
        with report.stage("wait"):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def begin_upload(shared: Shared, plan: RunPlan, backend: Backend, turn: ExitStack) -> Upload | None:
    """On a GPU that no run uses: take the run's turn on it before the volume is read, and open the upload.

    Call it in the run's turn on the reader. A run that waited for the GPU would have it, and no other run can read, so
    that the early turn delays none. None: the run takes its turn after it has read the volume.
    """
    if not backend.has_device_memory or not shared.device.acquire(blocking=False):
        return None
    turn.callback(shared.device.release)
    reserve_memory(shared, plan, backend)
    return turn.enter_context(backend.open_upload())


def reserve_memory(shared: Shared, plan: RunPlan, backend: Backend) -> None:
    """Take the planned memory of the backend for a run."""
    backend.start_run()  # the GPU's memory and kernels outlive a run, its counters do not
    memory = plan.memory
    arena_bytes = memory.device_arena_bytes
    beside = 0 if shared.rings.serves(plan) else arena_bytes
    backend.reserve(memory.device_peak - arena_bytes, beside=beside)  # does nothing on the CPU
