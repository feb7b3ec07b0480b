"""GPU time by CUDA events, and the copy bandwidth of the card to compare with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

COPY_BYTES = 1 << 30
LEAD_BYTES = 256 << 20
"""Copied ahead of every timed launch: the host queues event, kernel and event while it runs, so that no launch delay
is timed."""
SWEEP_BYTES = 4 << 20
"""Size of the copies after that, which have one destination. Together they read LEAD_BYTES: no input stays in the L2
cache, and none of the lead's own results, whose writing back the timed kernel would pay for."""
RAMP_S = 1.5
"""An idle card runs at a fraction of its clock; so long it works before the first row."""
IDLE_S = 0.1
"""A card that had nothing to do for longer works again before it is timed …"""
RAMP_AGAIN_S = 0.3
"""… for so long."""
_QUEUED = 8


class Clock:
    """Times what is queued on the current stream. `lead` is the size of the copy ahead, `sweep` of those after it."""

    def __init__(self, backend: Any, lead: int = LEAD_BYTES, sweep: int = SWEEP_BYTES) -> None:
        from gpu_infer.backends.gpu.device.cupy_import import cupy

        self._cupy = cupy
        self._backend = backend
        self._device = backend._device  # its stream and its launches are what is timed
        self._room = backend.empty((2, lead), "uint8")
        self._lead = lead
        self._small = backend.empty((sweep,), "uint8")
        self._sweep = sweep
        self._busy_until = float("-inf")

    def ramp(self, work: Callable[[], object], seconds: float) -> int:
        """Keep the card busy for so long, so that its clocks rise; how often `work` was done."""
        calls, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            self.spin(work)
            calls += _QUEUED
        return calls

    def spin(self, work: Callable[[], object]) -> None:
        """`work` some times over, and wait for it."""
        with self._device.stream:
            for _ in range(_QUEUED):
                work()
        self._backend.fence()
        self._busy_until = time.monotonic()

    def wake(self, work: Callable[[], object], seconds: float = RAMP_AGAIN_S) -> int:
        """`ramp` if the card had nothing to do in the meantime, as while the host compiles."""
        idle = time.monotonic() - self._busy_until > IDLE_S
        return self.ramp(work, seconds) if idle else 0

    def floor_seconds(self, repeats: int) -> float:
        """Of a kernel that converts one value, timed as `kernels` times others: what events and a launch cost."""
        one, other = self._backend.zeros((1, 1, 1, 1), "int16"), self._backend.empty((1, 1, 1, 1), "float32")
        spent = [self.kernels(lambda: self._backend.convert(one, other))[0] for _ in range(1 + repeats)]
        return statistics.median(spent[1:])

    def seconds(self, call: Callable[[], object]) -> float:
        """GPU time of what `call` queues."""
        return self._elapsed(*self._around(call))

    def copy_seconds(self, nbytes: int) -> float:
        """Of one device-to-device copy."""
        room = self._backend.empty((2, nbytes), "uint8")
        return self.seconds(lambda: self._copy(room[1].data.ptr, room[0].data.ptr, nbytes))

    def kernels(self, call: Callable[[], object]) -> tuple[float, list[str]]:
        """(GPU time of the kernels that a backend operation launches, summed; their modules)."""
        pairs: list[tuple[Any, Any]] = []
        modules: list[str] = []
        launch = self._device.launch

        def timed(module: str, *arguments: Any, **options: Any) -> None:
            modules.append(module)
            pairs.append(self._around(lambda: launch(module, *arguments, **options)))

        self._device.launch = timed
        try:
            with self._device.stream:
                call()
        finally:
            del self._device.launch
        if not pairs:
            raise RuntimeError("the operation launched no kernel")
        return sum(self._elapsed(begin, end) for begin, end in reversed(pairs)), modules

    def together(self, call: Callable[[], object], launches: int) -> float:
        """GPU time from the first to the last of the launches of a call that does not wait for the device in between.

        One pair of events for all; as many copies ahead as there are launches, so that all are queued before the first
        begins.
        """
        with self._device.stream:
            pair = self._around(call, leads=launches)
        return self._elapsed(*pair)

    @contextmanager
    def own_stream(self) -> Iterator[None]:
        with self._device.stream:
            yield

    def _elapsed(self, begin: Any, end: Any) -> float:
        end.synchronize()
        self._busy_until = time.monotonic()
        return float(self._cupy.cuda.get_elapsed_time(begin, end)) / 1e3

    def _around(self, call: Callable[[], object], leads: int = 1) -> tuple[Any, Any]:
        begin, end = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        source, destination = self._room[0].data.ptr, self._room[1].data.ptr
        for _ in range(1 + leads):  # the first one's time is for queueing the small copies
            self._copy(destination, source, self._lead)
        for offset in range(0, self._lead - self._sweep + 1, self._sweep):
            self._copy(self._small.data.ptr, source + offset, self._sweep)
        stream = self._cupy.cuda.get_current_stream()
        begin.record(stream)
        call()
        end.record(stream)
        return begin, end

    def _copy(self, to: int, source: int, nbytes: int) -> None:
        runtime = self._cupy.cuda.runtime
        stream = self._cupy.cuda.get_current_stream()
        runtime.memcpyAsync(to, source, nbytes, runtime.memcpyDeviceToDevice, stream.ptr)
