"""Sends the requests of one slot in the caller's thread: over HTTP, the server works between sending and reading.

A request that names shared memory has a few hundred bytes, so that sending it does not wait for the server.
"""

from __future__ import annotations

import threading

from gpu_infer.errors import GpuInferError, Interrupted
from gpu_infer.triton.client.protocol import InferReply, InferRequest
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.registration import Registration
from gpu_infer.triton.slot_requests import Begun, RequestCounters, SlotRequests


class DirectReply:
    """The reply to a request that has been sent, for one thread: `result` may be called once."""

    def __init__(
        self, requests: SlotRequests, begun: Begun, request: InferRequest, registration: Registration | None
    ) -> None:
        self._requests = requests
        self._sent = (begun, request, registration)
        self._reply: InferReply | None = None
        self._error: Exception | None = None
        self._is_done = False
        self.is_open = True

    def done(self) -> bool:
        """Whether there is a reply, or a GpuInferError in its place; not if the wait was interrupted."""
        return self._is_done

    def exception(self) -> Exception | None:
        """The error in place of the reply, if there is one; does not wait."""
        return self._error

    def settle(self) -> None:
        """Wait for the reply, or for the error that `result` raises; nothing if that has ended or was interrupted."""
        if not self.is_open:
            return
        try:
            self._reply = self._requests.end(*self._sent)
            self._is_done = True
        except Interrupted:
            raise
        except Exception as error:
            self._error = error
            self._is_done = isinstance(error, GpuInferError)
        finally:
            self.is_open = False

    def result(self) -> InferReply:
        """Wait for the reply; raises what `TritonClient.infer` raises."""
        self.settle()
        error, self._error = self._error, None  # its traceback has the frames of the run
        if error is not None:
            try:
                raise error
            finally:
                del error
        if self._reply is None:
            raise RuntimeError("there is no reply: the wait was interrupted, or its error has been raised before")
        return self._reply


class DirectSender:
    """`SlotWorker` without a thread: `send` sends, and the reply's `result` reads."""

    def __init__(self, number: int, server: Server, counters: RequestCounters, *, deadline_s: float) -> None:
        self.number = number
        self._requests = SlotRequests(server, counters, deadline_s)
        self._reply: DirectReply | None = None

    @property
    def in_flight(self) -> bool:
        """Whether the server may work on a request."""
        return self._reply is not None and not self._reply.done()

    def start(self) -> None:
        """Nothing to start."""

    def is_alive(self) -> bool:
        """Whether there is a request whose reply has not been read."""
        return self._reply is not None and self._reply.is_open

    def send(self, request: InferRequest, registration: Registration | None) -> DirectReply:
        """Send a request; a failure is raised by the reply's `result`. See `SlotRequests.begin`."""
        begun = self._requests.begin(request, registration)
        self._reply = DirectReply(self._requests, begun, request, registration)
        return self._reply

    def stop(self) -> None:
        """Make the request in flight the last try."""
        self._requests.stop()

    def abort(self) -> None:
        """Cut the connection of the request in flight. Callable from any thread; does not wait."""
        self._requests.abort()

    def join(self, timeout: float) -> None:
        """Wait for the reply to the request in flight, `timeout` seconds at most, and close the connection."""
        if self._reply is not None and self._reply.is_open:
            timer = threading.Timer(timeout, self.abort)
            timer.daemon = True
            try:
                timer.start()
            except RuntimeError:  # the process cannot have another thread
                self.abort()
            try:
                self._reply.settle()
            finally:
                timer.cancel()
        self._requests.close()
