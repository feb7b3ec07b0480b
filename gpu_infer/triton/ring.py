"""The ring of slots: the caller fills one slot while the server works on the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from gpu_infer.errors import ModelError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.protocol import LONGEST_S, InferReply
from gpu_infer.triton.client.reconnect import await_server
from gpu_infer.triton.direct_sender import DirectSender
from gpu_infer.triton.model.fit import check_fit
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import CHANNELS_FIRST, TensorLayout
from gpu_infer.triton.probe import probe_output_channels
from gpu_infer.triton.shm.arena import Arena, ArenaArray
from gpu_infer.triton.slot import NEVER_SENT, Slot, SlotState
from gpu_infer.triton.slot_group import GroupLayout, WindowSizes
from gpu_infer.triton.slot_layout import ALIGNMENT
from gpu_infer.triton.slot_memory import SlotArenas
from gpu_infer.triton.slot_requests import RequestCounters
from gpu_infer.triton.transport import Transport
from gpu_infer.triton.worker import SlotWorker

log = logging.getLogger(__name__)

__all__ = ["ALIGNMENT", "Slot", "SlotRing", "SlotState", "probe_output_channels"]

FAILED_DRAIN_S = 3.0
"""Seconds that the end of a failed run waits for requests in flight. The whole end takes less than 8 s; Docker kills a
container after 10 s."""

CUT_AGAIN_S = 0.1  # between two tries to abort a request that is on its way to the server

FAILED_CALL_S = 1.0  # of a call to the server during that end
CALL_S = 10.0


class SlotRing:
    """`slots` slots of `batch` windows each in one arena; at most one request per slot is in flight.

    With further models, there are `slots` groups of slots instead: the slots of a group share their input, and each has
    an output and a request of its own. For one thread. Use it as a context manager, or call `close`.

    Args:
        transport: connects to the server and makes the arena.
        model: the model that every request names.
        window: (R0, R1, R2), the spatial size of a window.
        channels_in: C of the input.
        channels_out: K of the output, also if it is dynamic in the model's dims (see `probe_output_channels`).
        batch: windows of one request, at most.
        slots: number of slots.
        deadline_s: seconds that one request may take.
        layout: the order of axes in the model's tensors; slots are views of them as [B, C, R0, R1, R2].
        reconnect_s: seconds to wait for a server after a lost connection.
        retries: how often a request is sent again after a lost connection.
        drain_s: seconds that `close` waits for requests in flight.
        spare: there is memory for a second arena: with shared memory, a request whose connection was lost is sent again
            from areas that no request has named before.
        further: models that get the same windows, with tensors of the same sizes; they must not write to their input.

    Raises:
        ModelError: the model does not fit the sizes.
        ResourceError, ServerError: the arena cannot be made.
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
        layout: TensorLayout = CHANNELS_FIRST,
        reconnect_s: float = 60.0,
        retries: int = 1,
        drain_s: float = 30.0,
        spare: bool = True,
        further: Sequence[ModelInfo] = (),
    ) -> None:
        if slots < 1 or batch < 1:
            raise ValueError(f"slots and batch must be at least 1, not {slots} and {batch}")
        for each in (model, *further):
            check_fit(each, channels_in, window, layout)
            if batch > each.max_batch:
                raise ModelError(
                    f"model {each.name} takes at most {each.max_batch} windows a request, asked for {batch}",
                    remedy=f"set batch_size to at most {each.max_batch}",
                )
        self.slots = slots
        self._transport = transport
        self._drain_s = drain_s
        sizes = WindowSizes(window, channels_in, channels_out, batch)
        self._layout = GroupLayout((model, *further), sizes, layout)
        self.batch = self._layout.batch
        self._reconnect_s = reconnect_s
        self._retries = retries
        self._counters = RequestCounters()
        self._renewals_before = 0
        self._next = 0
        self._closed = False
        self._arenas = SlotArenas(transport, slots * self._layout.group_bytes, spare=spare)
        self._groups: list[list[Slot]] = []
        self._workers: list[SlotWorker | DirectSender] = []
        try:
            self._groups = [self._layout.slots(n) for n in range(slots)]
            sender = DirectSender if self._sends_directly else SlotWorker
            for slot in self._slots:
                self._place(slot)
                worker = sender(slot.number, transport.server, self._counters, deadline_s=min(deadline_s, LONGEST_S))
                worker.start()
                self._workers.append(worker)
        except BaseException:
            self.close()
            raise

    # -- the caller's four steps -------------------------------------------------------------------------
    def acquire(self) -> Slot:
        """The next slot in ring order, FREE → FILLING; RuntimeError if it is not free. Does not wait."""
        return self.acquire_group()[0]

    def acquire_group(self) -> list[Slot]:
        """The slots of the next group, one per model, FREE → FILLING; they have one input. See `acquire`."""
        self._check_open()
        group = self._groups[self._next]
        for slot in group:
            slot.check(SlotState.FREE)
        self._leave_lost_areas(group)
        for slot in group:
            slot.state = SlotState.FILLING
        self._next = (self._next + 1) % self.slots
        return group

    def submit(self, slot: Slot, n: int) -> None:
        """Send the first `n` windows of the slot, FILLING → IN_FLIGHT.

        Other processes must see the input by now (`Backend.fence`).
        """
        self._check_open()
        if not 1 <= n <= self.batch:
            raise ValueError(f"n must be 1 to {self.batch}, not {n}")
        slot.check(SlotState.FILLING)
        slot.future = None  # of the request before
        slot.move(SlotState.FILLING, SlotState.IN_FLIGHT)
        slot.n = n
        self._send(slot)

    def wait(self, slot: Slot) -> ArenaArray:
        """Wait for the scores [n, K, R0, R1, R2], IN_FLIGHT → READY; the array is the slot's memory until `release`.

        Raises ModelError, DeadlineError or ServerError; the slot is then FREE.
        """
        if slot.state is not SlotState.IN_FLIGHT or slot.future is None:
            raise RuntimeError(f"slot {slot.number} is {slot.state.value}, expected in flight")
        retries = self._retries
        try:
            while (reply := self._reply(slot, last_try=retries == 0)) is None:
                retries -= 1
                self._send_again(slot)
            self._layout.of(slot).check_reply(reply, slot.n)
        except BaseException:
            if not slot.future.done():  # interrupted
                slot.mark_lost()
            slot.state = SlotState.FREE
            # The future has the error, whose traceback has the frames of the run: the cycle would hold its volume.
            slot.future = None
            raise
        if reply.data is not None:
            # Into the slot's memory, so that kernels get one kind of array, aligned and writable.
            slot.output[: slot.n] = self._layout.of(slot).scores(reply)[: slot.n]
        slot.move(SlotState.IN_FLIGHT, SlotState.READY)
        return slot.output[: slot.n]

    def release(self, slot: Slot) -> None:
        """READY → FREE, or FILLING → FREE for a slot that is not sent."""
        if slot.state is SlotState.FILLING:
            slot.state = SlotState.FREE
        else:
            slot.move(SlotState.READY, SlotState.FREE)
        slot.refill = None

    # -- the end, and counts for the report --------------------------------------------------------------
    def begin_run(self) -> None:
        """Start the counters anew, for a further run with the same ring; RuntimeError unless every slot is free."""
        self._check_open()
        for slot in self._slots:
            if slot.state is not SlotState.FREE:
                raise RuntimeError(f"slot {slot.number} is {slot.state.value}, expected free")
        self._counters.clear()
        self._renewals_before = self._arenas.renewals()

    def close(self, *, failed: bool = False) -> None:
        """Wait for requests in flight, unregister and free the memory, unless the ring is closed already.

        failed  the run has failed: wait 3 s at most, and with inline data not at all
        """
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + (FAILED_DRAIN_S if failed else self._drain_s)
        try:
            for worker in self._workers:
                worker.stop()
            if failed:
                self._end_requests(until)
            for worker in self._workers:
                worker.join(max(0.0, until - time.monotonic()))
        finally:
            for slot in self._slots:
                if slot.state is SlotState.IN_FLIGHT and not slot.is_answered:  # its request was cut off
                    slot.mark_lost()
                slot.input = slot.output = slot.refill = None  # the last views of the arena, unless the caller has some
            self._arenas.close(until, FAILED_CALL_S if failed else CALL_S)

    def _end_requests(self, until: float) -> None:
        """Abort inline requests, which no memory depends on; log the wait for requests with shared memory."""
        busy = [worker for worker in self._workers if worker.in_flight]
        if self._arenas.current.registration is None:
            # A request that the worker is sending may miss the first abort.
            while (busy := [worker for worker in self._workers if worker.is_alive()]) and time.monotonic() < until:
                for worker in busy:
                    worker.abort()
                busy[0].join(CUT_AGAIN_S)
        elif busy:
            log.warning(
                "waiting up to %.0f s for %d request%s in flight at %s, since the server may write to their memory",
                until - time.monotonic(),
                len(busy),
                "s" if len(busy) > 1 else "",
                self._transport.server.url,
            )

    def counters(self) -> dict[str, Any]:
        """For the report: the data transport and those skipped, requests, retries, bytes, seconds in flight."""
        renewals = self._arenas.renewals() - self._renewals_before
        return {**self._transport.chosen(), **self._counters.report(renewals)}

    def __enter__(self) -> SlotRing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=error is not None)

    # -- inside ------------------------------------------------------------------------------------------
    @property
    def _arena(self) -> Arena:
        return self._arenas.current.arena

    @property
    def _sends_directly(self) -> bool:
        """Whether sending needs no thread: over HTTP, if requests only name memory."""
        return self._transport.server.control == "http" and self._arenas.current.registration is not None

    @property
    def _slots(self) -> list[Slot]:
        return [slot for group in self._groups for slot in group]

    def _place(self, slot: Slot) -> None:
        """Set the slot's areas to those in the current arena."""
        memory = self._arenas.current
        slot.input, slot.output = self._layout.of(slot).views(slot, memory.arena)
        slot.lost = False
        slot.memory = memory  # last: an interrupted call is repeated by the next `acquire`

    def _leave_lost_areas(self, slots: Sequence[Slot]) -> None:
        """Move slots from areas that the server may write to, and from an arena that is not the current one.

        `slots` are a whole group, which gets its input once, or one slot that is sent again.
        """
        if any(slot.lost and slot.memory is self._arenas.current for slot in slots):
            others = [other for other in self._slots if other not in slots and other.state is not SlotState.FREE]
            in_use = {other.memory for other in others if other.memory is not None}
            self._arenas.renew(in_use, self._reconnect_s)
        for slot in slots:
            if slot.memory is not self._arenas.current:
                self._place(slot)

    def _send(self, slot: Slot) -> None:
        assert slot.memory is not None
        layout = self._layout.of(slot)
        sent = layout.sent(slot.n)
        nbytes = layout.bytes_in(sent) + layout.bytes_out(sent)
        with self._counters.lock:
            if slot.memory.registration is None:
                self._counters.inline_bytes += nbytes
            else:
                self._counters.shm_bytes += nbytes
        request = layout.request(slot, slot.memory)
        try:
            slot.future = self._workers[slot.number].send(request, slot.memory.registration)
        except BaseException:  # interrupted, perhaps after the request was sent
            slot.mark_lost()
            raise

    def _reply(self, slot: Slot, *, last_try: bool) -> InferReply | None:
        """Wait for the reply; None after a lost connection, if the request may be sent again."""
        assert slot.future is not None
        assert slot.memory is not None
        try:
            return slot.future.result()
        except Exception as error:
            # Also after errors that look like the model's: their cause may be a gateway or a reset stream.
            if slot.memory.registration is not None and not isinstance(error, NEVER_SENT):
                slot.mark_lost()
            if not isinstance(error, ConnectionLost) or last_try:
                raise
            if self._closed:
                raise ServerError(f"{error.message}: not sent again, since the ring is closed") from error
            log.warning("%s: waiting up to %g s for the server", error.message, self._reconnect_s)
            return None

    def _send_again(self, slot: Slot) -> None:
        """Wait for the server, and send the slot's windows from areas that no lost request names."""
        model = self._layout.model(slot)
        await_server(self._transport.server, model.name, model.version, self._reconnect_s)
        if slot.lost:
            before = slot.input
            self._leave_lost_areas([slot])
            if slot.refill is not None:
                slot.refill(slot)
            elif isinstance(before, np.ndarray):
                slot.input[...] = before
            else:  # by one of this package's kernels: for an assignment, CuPy would compile one
                backend = self._transport.backend
                for row in range(slot.n):
                    backend.gather(before[row], [(0, 0, 0)], slot.input[row : row + 1], 0.0)
                backend.fence()
        with self._counters.lock:
            self._counters.retries += 1
        self._send(slot)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the ring is closed")
