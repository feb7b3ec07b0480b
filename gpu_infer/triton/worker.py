"""The worker of one slot: sends its requests in a separate thread, and returns the reply or the error."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from gpu_infer.errors import DeadlineError, ServerError
from gpu_infer.triton.client.failures import RAISE_DEADLINE, ConnectionLost, QueueFull, RegionUnknown, with_option
from gpu_infer.triton.client.protocol import InferReply, InferRequest, TritonClient
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.registration import Registration

EXIT_WAIT_S = 1.0
"""Seconds that the end of the process waits for workers whose requests it has aborted."""

THREAD_NAME = "slot"

_live: weakref.WeakSet[SlotWorker] = weakref.WeakSet()


@dataclass
class RequestCounters:
    """Counts of one ring's requests; change them under `lock`."""

    requests: int = 0
    retries: int = 0
    shm_bytes: int = 0
    inline_bytes: int = 0
    in_flight_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def clear(self) -> None:
        """Start all counts at 0."""
        with self.lock:
            self.requests = self.retries = self.shm_bytes = self.inline_bytes = 0
            self.in_flight_s = 0.0


class _Job(NamedTuple):
    request: InferRequest
    registration: Registration | None
    future: Future[InferReply]


class SlotWorker:
    """Sends one request at a time over a separate connection, which only the worker's thread uses."""

    def __init__(self, number: int, server: Server, counters: RequestCounters, *, deadline_s: float) -> None:
        self.number = number
        self._server = server
        self._counters = counters
        self._deadline_s = deadline_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._client: TritonClient | None = None
        # A daemon: a request that hangs must not prevent the end of the interpreter.
        self._thread = threading.Thread(target=self._run, name=f"{THREAD_NAME} {number}", daemon=True)
        self._stopping = threading.Event()
        self._owner = os.getpid()
        self.in_flight = False
        _live.add(self)

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
        self._stopping.set()
        self._jobs.put(None)

    def abort(self) -> None:
        """Cut the connection of the request in flight. Callable from any thread; does not wait."""
        client = self._client
        if client is not None and self.in_flight:
            client.abort()

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._work(job)
                del job  # frees the last messages, tens of megabytes
        finally:
            self._drop_client()

    def _work(self, job: _Job) -> None:
        try:
            job.future.set_result(self._infer(job.request, job.registration))
        except BaseException as error:  # the thread that waits for the slot raises it
            job.future.set_exception(error)
            if isinstance(error, ConnectionLost):
                self._drop_client()  # the next request opens a new connection
            del job  # the error's traceback has this frame, and the future has the error

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _infer(self, request: InferRequest, registration: Registration | None) -> InferReply:
        """Send the request, once more if the server has forgotten the region, and until the model's queue takes it."""
        renewals_left = 1
        full = _Pauses(self._deadline_s)
        while True:
            seen = registration.renewals if registration is not None else 0
            started = time.monotonic()
            self._client = client = self._client or self._server.client()
            self.in_flight = True
            try:
                return client.infer(request, self._deadline_s)
            except DeadlineError as error:
                raise with_option(error, RAISE_DEADLINE) from error
            except QueueFull as error:  # refused: the server does not use the memory
                if self._stopping.is_set() or not full.pause():
                    raise ServerError(error.message, remedy=error.remedy) from error
            except RegionUnknown as error:
                if registration is None or renewals_left == 0 or self._stopping.is_set():
                    raise ServerError(error.message, remedy=error.remedy) from error
                renewals_left -= 1
                registration.renew(client, seen)
            finally:
                self.in_flight = False
                with self._counters.lock:
                    self._counters.requests += 1
                    self._counters.in_flight_s += time.monotonic() - started
            with self._counters.lock:
                self._counters.retries += 1


class _Pauses:
    """Pauses that grow from 20 ms to half a second, within `seconds` in all."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._next = 0.02

    def pause(self) -> bool:
        """Sleep; False if the time is over."""
        if time.monotonic() + self._next > self._until:
            return False
        time.sleep(self._next)
        self._next = min(2 * self._next, 0.5)
        return True


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
