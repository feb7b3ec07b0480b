"""The worker of one slot: sends its requests in a separate thread, and returns the reply or the error.

For gRPC, and for inline data, whose messages take long to send.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from concurrent.futures import Future
from typing import NamedTuple

from gpu_infer.triton.client.protocol import InferReply, InferRequest
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.registration import Registration
from gpu_infer.triton.slot_requests import RequestCounters, SlotRequests

EXIT_WAIT_S = 1.0
"""Seconds that the end of the process waits for workers whose requests it has aborted."""

THREAD_NAME = "slot"

_live: weakref.WeakSet[SlotWorker] = weakref.WeakSet()


class _Job(NamedTuple):
    request: InferRequest
    registration: Registration | None
    future: Future[InferReply]


class SlotWorker:
    """Sends one request at a time over a separate connection, which only the worker's thread uses."""

    def __init__(self, number: int, server: Server, counters: RequestCounters, *, deadline_s: float) -> None:
        self.number = number
        self._requests = SlotRequests(server, counters, deadline_s)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        # A daemon: a request that hangs must not prevent the end of the interpreter.
        self._thread = threading.Thread(target=self._run, name=f"{THREAD_NAME} {number}", daemon=True)
        self._owner = os.getpid()
        _live.add(self)

    @property
    def in_flight(self) -> bool:
        """Whether the server may work on a request."""
        return self._requests.in_flight

    def start(self) -> None:
        """Start the thread; RuntimeError if the process cannot have another one."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the worker takes requests or has one in flight."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for the end of the worker, `timeout` seconds at most."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def send(self, request: InferRequest, registration: Registration | None) -> Future[InferReply]:
        """Start one inference; the future gets the reply or a ServerError.

        registration  of the region that the request names; None for inline data
        """
        future: Future[InferReply] = Future()
        self._jobs.put(_Job(request, registration, future))
        return future

    def stop(self) -> None:
        """End the worker after the request in flight, without further tries. Does not wait."""
        self._requests.stop()
        self._jobs.put(None)

    def abort(self) -> None:
        """Cut the connection of the request in flight. Callable from any thread; does not wait."""
        self._requests.abort()

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._work(job)
                del job  # frees the last messages, tens of megabytes
        finally:
            self._requests.close()

    def _work(self, job: _Job) -> None:
        try:
            begun = self._requests.begin(job.request, job.registration)
            job.future.set_result(self._requests.end(begun, job.request, job.registration))
        except BaseException as error:  # the thread that waits for the slot raises it
            job.future.set_exception(error)
            del job  # the error's traceback has this frame, and the future has the error


def _join_all() -> None:
    """End all workers: a thread in a client's C code while the interpreter ends may crash the process."""
    workers = [worker for worker in list(_live) if worker._owner == os.getpid() and worker.is_alive()]
    for worker in workers:
        worker.stop()
        worker.abort()
    until = time.monotonic() + EXIT_WAIT_S
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))


# Registered after the handler of registration.py, so it runs before that one: a request's end frees its region.
atexit.register(_join_all)
