"""GPU time by CUDA events, and the card's copy bandwidth that it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

COPY_BYTES = 1 << 30
LEAD_BYTES = 256 << 20
"""Copied ahead of every timed launch: the host queues event, kernel and event while it runs, so that no launch delay
is timed, and no input is left in the L2 cache."""


class Clock:
    """Times what is queued on the current stream. `lead` is the size of the copy ahead."""

    def __init__(self, backend: Any, lead: int = LEAD_BYTES) -> None:
        from gpu_infer.backends.gpu_cupy import cupy

        self._cupy = cupy
        self._backend = backend
        self._device = backend._device  # its stream and its launches are what is timed
        self._room = backend.empty((2, lead), "uint8")
        self._lead = lead

    def floor_seconds(self, repeats: int) -> float:
        """Of a kernel that converts one value, timed as `kernels` times others: what events and a launch cost."""
        one, other = self._backend.zeros((1, 1, 1, 1), "int16"), self._backend.empty((1, 1, 1, 1), "float32")
        spent = [self.kernels(lambda: self._backend.convert(one, other))[0] for _ in range(1 + repeats)]
        return statistics.median(spent[1:])

    def seconds(self, call: Callable[[], object]) -> float:
        """GPU time of what `call` queues."""
        begin, end = self._around(call)
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(begin, end)) / 1e3

    def copy_seconds(self, nbytes: int) -> float:
        """Of one device-to-device copy."""
        room = self._backend.empty((2, nbytes), "uint8")
        return self.seconds(lambda: self._copy(room, nbytes))

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
        pairs[-1][1].synchronize()
        return sum(float(self._cupy.cuda.get_elapsed_time(a, b)) for a, b in pairs) / 1e3, modules

    def together(self, call: Callable[[], object], launches: int) -> float:
        """GPU time from the first to the last of the launches of a call that does not wait for the device in between.

        One pair of events for all; as many copies ahead as there are launches, so that all are queued before the first
        begins.
        """
        with self._device.stream:
            begin, end = self._around(call, leads=launches)
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(begin, end)) / 1e3

    @contextmanager
    def own_stream(self) -> Iterator[None]:
        with self._device.stream:
            yield

    def _around(self, call: Callable[[], object], leads: int = 1) -> tuple[Any, Any]:
        begin, end = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        for _ in range(leads):
            self._copy(self._room, self._lead)
        stream = self._cupy.cuda.get_current_stream()
        begin.record(stream)
        call()
        end.record(stream)
        return begin, end

    def _copy(self, room: Any, nbytes: int) -> None:
        runtime = self._cupy.cuda.runtime
        stream = self._cupy.cuda.get_current_stream()
        runtime.memcpyAsync(room[1].data.ptr, room[0].data.ptr, nbytes, runtime.memcpyDeviceToDevice, stream.ptr)
