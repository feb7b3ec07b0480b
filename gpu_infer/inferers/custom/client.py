"""The model as a custom inferer sees it: windows in, scores out, over the ring of slots."""

from __future__ import annotations

import math
from collections import deque
from functools import partial

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.inferers.base import ModelSizes
from gpu_infer.progress import Progress, ProgressCallback
from gpu_infer.transforms.custom.errors import UnexpectedResultError
from gpu_infer.triton.ring import Slot, SlotRing

_ONE = [(0, 0, 0)]


class ModelClient:
    """Implements `inferers.base.Model`; for one run and one thread.

    windows  number of windows that were inferred
    failure  what ended a request; no further request is sent then

    Args:
        ring: Slots for at least `sizes.batch` windows each.
        backend: Copies windows and scores.
        sizes: Of the run.
        progress: Receives an event after every reply.
    """

    def __init__(self, ring: SlotRing, backend: Backend, sizes: ModelSizes, progress: ProgressCallback) -> None:
        self.sizes = sizes
        self.windows = 0
        self.failure: BaseException | None = None
        self._ring, self._backend, self._progress = ring, backend, progress
        # The inferer alone knows how many windows there will be: at least those that cover the grid.
        self._expected = math.prod(-(-n // w) for n, w in zip(sizes.grid, sizes.window, strict=True))

    def infer(self, windows: Array) -> Array:
        """See `Model.infer`."""
        self._check(windows)
        if self.failure is not None:
            raise self.failure
        try:
            return self._infer(windows)
        except BaseException as error:
            self.failure = error
            raise

    def _infer(self, windows: Array) -> Array:
        ring, backend, count = self._ring, self._backend, windows.shape[0]
        scores = backend.empty((count, self.sizes.classes, *self.sizes.window), np.float32)
        in_flight: deque[tuple[Slot, int, int]] = deque()

        def drain_oldest() -> None:
            slot, first, end = in_flight.popleft()
            answer = ring.wait(slot)
            # On a GPU, slots outside its memory are uploaded; there, an assignment would compile a kernel.
            source = backend.upload(answer) if isinstance(answer, np.ndarray) else answer
            for row in range(end - first):
                backend.gather(source[row], _ONE, scores[first + row : first + row + 1], 0.0)
            backend.fence()  # the next request overwrites the slot
            ring.release(slot)
            self.windows += end - first
            self._progress(Progress("infer", self.windows, max(self.windows, self._expected)))

        def fill_slot(slot: Slot, first: int, end: int) -> None:
            for row in range(end - first):
                backend.gather(windows[first + row], _ONE, slot.input[row : row + 1], 0.0)
            backend.fence()  # the server reads the slot from another process

        for first in range(0, count, self.sizes.batch):
            end = min(first + self.sizes.batch, count)
            if len(in_flight) == ring.slots:
                drain_oldest()
            slot = ring.acquire()
            fill_slot(slot, first, end)
            slot.refill = partial(fill_slot, first=first, end=end)
            ring.submit(slot, end - first)
            in_flight.append((slot, first, end))
        while in_flight:
            drain_oldest()
        return scores

    def _check(self, windows: Array) -> None:
        sizes, shape = self.sizes, tuple(getattr(windows, "shape", ()))
        usual = type(self._backend.empty((1,), np.float32))
        if not isinstance(windows, usual) or len(shape) != 5 or not shape[0] or shape[1:] != self._window_shape:
            raise UnexpectedResultError(
                f"model.infer to get a {usual.__module__.partition('.')[0]} array [N, {sizes.channels}, "
                f"{', '.join(map(str, sizes.window))}], N at least 1",
                windows,
                remedy="cut windows with backend.gather",
            )
        if windows.dtype not in (np.float32, np.float16):
            raise UnexpectedResultError(
                "model.infer to get float32 or float16", windows, remedy="allocate windows of model.sizes.dtype"
            )

    @property
    def _window_shape(self) -> tuple[int, ...]:
        return (self.sizes.channels, *self.sizes.window)
