"""The thread behind one slot: sends its requests, mends what can be mended, hands over reply or error."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
import weakref
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..errors import ServerError
from .client import Control, InferReply, InferRequest
from .failures import ConnectionLost, RegionUnknown
from .registration import Registration
from .server import Server, wait_until_ready

log = logging.getLogger(__name__)

EXIT_WAIT_S = 3.0
"""Seconds that the end of the process waits for requests in flight of rings that nobody closed."""

_live: weakref.WeakSet[SlotWorker] = weakref.WeakSet()


@dataclass
class Counters:
    """What the slots of one ring did; add under `lock`."""

    requests: int = 0
    retries: int = 0
    shm_bytes: int = 0
    inline_bytes: int = 0
    in_flight_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class SlotWorker(threading.Thread):
    """One request at a time over a connection of its own, which only this thread touches."""

    def __init__(
        self,
        number: int,
        server: Server,
        registration: Registration | None,
        counters: Counters,
        *,
        deadline_s: float,
        reconnect_s: float,
        retries: int,
    ) -> None:
        # Daemon: a request that hangs must not keep the interpreter from ending.
        super().__init__(name=f"slot-{number}", daemon=True)
        self._server = server
        self._registration = registration
        self._counters = counters
        self._deadline_s = deadline_s
        self._reconnect_s = reconnect_s
        self._retries = retries
        self._jobs: queue.SimpleQueue[tuple[InferRequest, Future[InferReply]] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._owner = os.getpid()
        _live.add(self)

    def send(self, request: InferRequest) -> Future[InferReply]:
        """Start one inference; the future carries the reply or a ServerError."""
        future: Future[InferReply] = Future()
        self._jobs.put((request, future))
        return future

    def stop(self) -> None:
        """End after the request in flight, without further tries; does not wait."""
        self._stopping.set()
        self._jobs.put(None)

    def run(self) -> None:
        client: Control | None = None
        try:
            while (job := self._jobs.get()) is not None:
                request, future = job
                try:
                    client = client or self._server.client()
                    future.set_result(self._infer(client, request))
                except BaseException as error:  # it belongs to whoever waits for the slot
                    future.set_exception(error)
        finally:
            if client is not None:
                client.close()
                self._server.end_thread()

    def _infer(self, client: Control, request: InferRequest) -> InferReply:
        """Try, and again after a lost connection (`retries` times) or a lost registration (once)."""
        retries_left, renewals_left = self._retries, 1
        while True:
            seen = self._registration.renewals if self._registration is not None else 0
            started = time.monotonic()
            try:
                return client.infer(request, self._deadline_s)
            except ConnectionLost as error:
                if retries_left == 0 or self._stopping.is_set():
                    raise
                retries_left -= 1
                log.warning("%s: waiting up to %g s for the server", error.message, self._reconnect_s)
                wait_until_ready(client, request.model, request.version, self._reconnect_s, self._stopping.is_set)
            except RegionUnknown as error:
                if self._registration is None or renewals_left == 0 or self._stopping.is_set():
                    raise ServerError(error.message, remedy=error.remedy) from error
                renewals_left -= 1
                self._registration.renew(client, seen)
            finally:
                with self._counters.lock:
                    self._counters.requests += 1
                    self._counters.in_flight_s += time.monotonic() - started
            with self._counters.lock:
                self._counters.retries += 1


def _join_all() -> None:
    """A thread inside an HTTP client's C code while the interpreter is taken down would crash the process."""
    workers = [worker for worker in list(_live) if worker._owner == os.getpid() and worker.is_alive()]
    for worker in workers:
        worker.stop()
    until = time.monotonic() + EXIT_WAIT_S
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))


# Registered after registration.py's handler and so run before it: a region is free once its request has ended.
atexit.register(_join_all)
