"""The requests of one slot over a connection of its own, and what is tried again before an error ends the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from gpu_infer.errors import DeadlineError, ServerError
from gpu_infer.triton.client.failures import RAISE_DEADLINE, ConnectionLost, QueueFull, RegionUnknown, with_option
from gpu_infer.triton.client.protocol import InferReply, InferRequest, TritonClient
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.registration import Registration


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

    def report(self, renewals: int) -> dict[str, float]:
        """The counts for the report, with the `renewals` of registrations."""
        with self.lock:
            return {
                "requests": self.requests,
                "retries": self.retries,
                "reregistrations": renewals,
                "bytes_shm": self.shm_bytes,
                "bytes_inline": self.inline_bytes,
                "seconds_in_flight": round(self.in_flight_s, 6),
            }


class Begun(NamedTuple):
    """A request that is on its way.

    started  when, by the monotonic clock
    seen     `renewals` of its registration at that time
    read     reads the reply
    """

    started: float
    seen: int
    read: Callable[[], InferReply]


class SlotRequests:
    """One request at a time, all in one thread; `abort` and `stop` from any.

    deadline_s  seconds that one request may take
    """

    def __init__(self, server: Server, counters: RequestCounters, deadline_s: float) -> None:
        self._server = server
        self._counters = counters
        self._deadline_s = deadline_s
        self._client: TritonClient | None = None
        self._stops = threading.Event()
        self.in_flight = False

    def begin(self, request: InferRequest, registration: Registration | None) -> Begun:
        """Send a request; see `TritonClient.begin_infer`. Raises ConfigError for certificates that cannot be used.

        registration  of the region that the request names; None for inline data
        """
        seen = registration.renewals if registration is not None else 0
        started = time.monotonic()
        self._client = client = self._client or self._server.client()
        self.in_flight = True
        try:
            return Begun(started, seen, client.begin_infer(request, self._deadline_s))
        except BaseException:
            self.in_flight = False
            raise

    def end(self, begun: Begun, request: InferRequest, registration: Registration | None) -> InferReply:
        """The reply to a request that has begun.

        It is sent once more if the server has forgotten the region, and until the model's queue takes it.

        Raises what `TritonClient.infer` raises. After ConnectionLost, the next request opens a new connection.
        """
        try:
            return self._end(begun, request, registration)
        except ConnectionLost:
            self.close()
            raise

    def stop(self) -> None:
        """Make the request in flight the last try, and end a pause before the next one."""
        self._stops.set()

    def abort(self) -> None:
        """Cut the connection of the request in flight. Callable from any thread; does not wait."""
        client = self._client
        if client is not None and self.in_flight:
            client.abort()

    def close(self) -> None:
        """Close the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _end(self, begun: Begun, request: InferRequest, registration: Registration | None) -> InferReply:
        renewals_left = 1
        full = _Pauses(self._deadline_s)
        while True:
            try:
                return self._read(begun)
            except DeadlineError as error:
                raise with_option(error, RAISE_DEADLINE) from error
            except QueueFull as error:  # refused: the server does not use the memory
                if not full.pause(self._stops):
                    raise ServerError(error.message, remedy=error.remedy) from error
            except RegionUnknown as error:
                if registration is None or renewals_left == 0 or not self._renew(registration, begun.seen):
                    raise ServerError(error.message, remedy=error.remedy) from error
                renewals_left -= 1
            with self._counters.lock:
                self._counters.retries += 1
            begun = self.begin(request, registration)

    def _read(self, begun: Begun) -> InferReply:
        """The reply to a request, which then is in flight no more; counts it."""
        try:
            return begun.read()
        finally:
            self.in_flight = False
            with self._counters.lock:
                self._counters.requests += 1
                self._counters.in_flight_s += time.monotonic() - begun.started

    def _renew(self, registration: Registration, seen: int) -> bool:
        """Register the region again; False if no further request may be sent."""
        assert self._client is not None
        if not self._stops.is_set():
            registration.renew(self._client, seen)
        return not self._stops.is_set()


class _Pauses:
    """Pauses that grow from 20 ms to half a second, within `seconds` in all."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._next = 0.02

    def pause(self, stops: threading.Event) -> bool:
        """Sleep; False if the time is over, or at once when `stops` is set."""
        if time.monotonic() + self._next > self._until or stops.wait(self._next):
            return False
        self._next = min(2 * self._next, 0.5)
        return True
