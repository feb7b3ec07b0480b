"""The ring of slots: windows are written into one while the server works on the others."""

from __future__ import annotations

import enum
import math
import time
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import ModelError, ServerError
from .client import InferReply, InferRequest, RegionSlice
from .fit import check_fit, tensor_shape
from .model import ModelInfo
from .probe import probe_output_channels
from .transport import Transport, release
from .worker import Counters, SlotWorker

__all__ = ["Slot", "SlotRing", "SlotState", "probe_output_channels"]

ALIGNMENT = 4096  # bytes; a page, so that no two areas share one


class SlotState(enum.Enum):
    """FREE → FILLING → IN_FLIGHT → READY → FREE."""

    FREE = "free"
    FILLING = "filling"
    IN_FLIGHT = "in flight"
    READY = "ready"


class Slot:
    """An input and an output area of the ring's block.

    input   [B, C, R0, R1, R2] in the model's input dtype, to be written between `acquire` and `submit`
    output  [B, K, R0, R1, R2] in the model's output dtype, to be read between `wait` and `release`
    tag     whatever the caller gave to `submit`
    """

    def __init__(self, number: int, input_: Any, output: Any, input_at: int, output_at: int) -> None:
        self.number = number
        self.input = input_
        self.output = output
        self.input_at = input_at  # bytes from the start of the block
        self.output_at = output_at
        self.tag: Any = None
        self.n = 0
        self.state = SlotState.FREE
        self.future: Future[InferReply] | None = None

    def move(self, expected: SlotState, to: SlotState) -> None:
        """Change state, or RuntimeError when the slot is not in the expected one."""
        if self.state is not expected:
            raise RuntimeError(f"slot {self.number} is {self.state.value}, expected {expected.value}")
        self.state = to

    def __repr__(self) -> str:
        return f"Slot({self.number}, {self.state.value})"


class SlotRing:
    """`slots` slots of `batch` windows each in one block; one request in flight per slot.

    window        (R0, R1, R2), the spatial size of a tile
    channels_out  K as it will be, also where the model's dims leave it open (see `probe_output_channels`)
    deadline_s    seconds that one request may take
    channels_last the model's tensors are [B, R0, R1, R2, C]; slots show them transposed to [B, C, R0, R1, R2]
    reconnect_s   seconds to wait for a server that went away; retries: how often one request is sent again
                  after that

    Only one thread may use the ring. Raises ModelError when model and sizes do not fit, ResourceError or
    ServerError when the block cannot be made.
    """

    def __init__(
        self,
        transport: Transport,
        model: ModelInfo,
        *,
        window: tuple[int, int, int],
        channels_in: int,
        channels_out: int,
        batch: int,
        slots: int = 2,
        deadline_s: float = 600.0,
        channels_last: bool = False,
        reconnect_s: float = 60.0,
        retries: int = 1,
        drain_s: float = 30.0,
    ) -> None:
        if slots < 1 or batch < 1:
            raise ValueError(f"slots and batch must be at least 1, not {slots} and {batch}")
        check_fit(model, channels_in, window, channels_last=channels_last)
        if batch > model.max_batch:
            raise ModelError(
                f"model {model.name} takes at most {model.max_batch} windows a request, asked for {batch}",
                remedy=f"set batch_size to at most {model.max_batch}",
            )
        self.slots = slots
        # A model with a fixed batch axis gets full requests; rows past n hold old windows, whose results
        # nobody reads.
        self.batch = model.max_batch if model.fixed_batch else batch
        self._transport = transport
        self._model = model
        self._drain_s = drain_s
        self._channels_last = channels_last
        self._in_shape = tensor_shape(channels_in, window, channels_last)
        self._out_shape = tensor_shape(channels_out, window, channels_last)
        self._counters = Counters()
        self._next = 0
        self._closed = False
        in_area = _aligned(self._nbytes(self._in_shape, model.input.dtype, self.batch))
        out_area = _aligned(self._nbytes(self._out_shape, model.output.dtype, self.batch))
        self._arena, self._registration = transport.arena(slots * (in_area + out_area))
        self._slots: list[Slot] = []
        self._workers: list[SlotWorker] = []
        try:
            for k in range(slots):
                at = k * (in_area + out_area)
                source = self._arena.view(at, (self.batch, *self._in_shape), model.input.dtype)
                sink = self._arena.view(at + in_area, (self.batch, *self._out_shape), model.output.dtype)
                self._slots.append(Slot(k, self._shown(source), self._shown(sink), at, at + in_area))
                worker = SlotWorker(
                    k,
                    transport.server,
                    self._registration,
                    self._counters,
                    deadline_s=deadline_s,
                    reconnect_s=reconnect_s,
                    retries=retries,
                )
                worker.start()
                self._workers.append(worker)
        except BaseException:
            self.close()
            raise

    # -- the caller's four steps -------------------------------------------------------------------------
    def acquire(self) -> Slot:
        """The next slot in ring order, FREE → FILLING; RuntimeError when it is not free. Never waits."""
        self._check_open()
        slot = self._slots[self._next]
        slot.move(SlotState.FREE, SlotState.FILLING)
        self._next = (self._next + 1) % self.slots
        return slot

    def submit(self, slot: Slot, n: int, tag: Any = None) -> None:
        """Send the first `n` windows of the slot, FILLING → IN_FLIGHT.

        What fills the slot must be visible to other processes by now (`Backend.fence`).
        """
        self._check_open()
        if not 1 <= n <= self.batch:
            raise ValueError(f"n must be 1 to {self.batch}, not {n}")
        slot.move(SlotState.FILLING, SlotState.IN_FLIGHT)
        slot.n, slot.tag = n, tag
        slot.future = self._workers[slot.number].send(self._request(slot, n))

    def wait(self, slot: Slot) -> Any:
        """[n, K, R0, R1, R2], IN_FLIGHT → READY; the array is the slot's own memory until `release`.

        Raises what went wrong: ModelError, DeadlineError, ServerError. The slot is FREE then.
        """
        if slot.state is not SlotState.IN_FLIGHT or slot.future is None:
            raise RuntimeError(f"slot {slot.number} is {slot.state.value}, expected in flight")
        try:
            reply = slot.future.result()
            self._check_reply(reply, slot.n)
        except CancelledError:
            slot.state = SlotState.FREE
            raise ServerError("the ring was closed while a request was in flight") from None
        except Exception:
            slot.state = SlotState.FREE
            raise
        if reply.data is not None:
            # Into the slot's own memory: kernels then see one kind of array, aligned and writable.
            slot.output[: slot.n] = self._shown(self._batched(reply.data))[: slot.n]
        slot.move(SlotState.IN_FLIGHT, SlotState.READY)
        return slot.output[: slot.n]

    def release(self, slot: Slot) -> None:
        """READY → FREE; also gives a FILLING slot back unsent."""
        if slot.state is SlotState.FILLING:
            slot.state = SlotState.FREE
        else:
            slot.move(SlotState.READY, SlotState.FREE)
        slot.tag = None

    # -- the end, and what is told of it -----------------------------------------------------------------
    def close(self) -> None:
        """Wait for what is in flight (`drain_s` at most), unregister, free. More than once without harm."""
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + self._drain_s
        try:
            for worker in self._workers:
                worker.stop()
            for worker in self._workers:
                worker.join(max(0.0, until - time.monotonic()))
        finally:
            for slot in self._slots:
                slot.input = slot.output = None  # the last views of the block, where the caller kept none
            release(self._arena, self._registration, max(1.0, until - time.monotonic()))

    def counters(self) -> dict[str, Any]:
        """For the report: data choice and what was left, requests, retries, bytes, seconds in flight."""
        found = self._counters
        with found.lock:
            return {
                **self._transport.chosen(),
                "requests": found.requests,
                "retries": found.retries,
                "reregistrations": self._registration.renewals if self._registration is not None else 0,
                "bytes_shm": found.shm_bytes,
                "bytes_inline": found.inline_bytes,
                "seconds_in_flight": round(found.in_flight_s, 6),
            }

    def __enter__(self) -> SlotRing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------------
    def _request(self, slot: Slot, n: int) -> InferRequest:
        sent = self.batch if self._model.fixed_batch else n
        in_bytes = self._nbytes(self._in_shape, self._model.input.dtype, sent)
        out_bytes = self._nbytes(self._out_shape, self._model.output.dtype, sent)
        shape = self._with_batch(self._in_shape, sent)
        source: Any
        sink = None
        if self._registration is None:
            source = self._arena.view(slot.input_at, shape, self._model.input.dtype)
        else:
            source = RegionSlice(self._registration.name, slot.input_at, in_bytes)
            sink = RegionSlice(self._registration.name, slot.output_at, out_bytes)
        with self._counters.lock:
            if self._registration is None:
                self._counters.inline_bytes += in_bytes + out_bytes
            else:
                self._counters.shm_bytes += in_bytes + out_bytes
        return InferRequest(
            model=self._model.name,
            version=self._model.version,
            input_name=self._model.input.name,
            datatype=self._model.input.datatype,
            shape=shape,
            source=source,
            output_name=self._model.output.name,
            sink=sink,
        )

    def _check_reply(self, reply: InferReply, n: int) -> None:
        """A reply tells shape and type also when the voxels went to a region: they must be as planned."""
        model = self._model
        expected = self._with_batch(self._out_shape, self.batch if model.fixed_batch else n)
        if reply.shape != expected or reply.datatype != model.output.datatype:
            raise ModelError(
                f"model {model.name} answered {model.output.name} as {reply.datatype or 'nothing'} "
                f"{list(reply.shape)}, expected {model.output.datatype} {list(expected)}",
                remedy="the model must keep the input's spatial size and the channels that its configuration declares",
            )

    def _with_batch(self, shape: tuple[int, ...], n: int) -> tuple[int, ...]:
        return shape if self._model.batch_axis == "none" else (n, *shape)

    def _batched(self, array: Any) -> Any:
        return array[None] if self._model.batch_axis == "none" else array

    def _shown(self, array: Any) -> Any:
        """[B, C, R0, R1, R2] of the model's own layout."""
        return array.transpose(0, 4, 1, 2, 3) if self._channels_last else array

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the ring is closed")

    @staticmethod
    def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any], n: int) -> int:
        return n * math.prod(shape) * dtype.itemsize


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
