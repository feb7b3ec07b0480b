"""The scanning window: gather windows into slots, infer, blend the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.inferers.accumulator import Accumulator, mirrored
from gpu_infer.inferers.label_windows import LabelWindows
from gpu_infer.inferers.windows import Window, WindowGrid, runs
from gpu_infer.progress import Progress, ProgressCallback, silent
from gpu_infer.triton.ring import Slot, SlotRing


class Receiver(Protocol):
    """Receives the model's outputs in the order of the visits: an accumulator, or what collects labels."""

    def add_group(self, outputs: Sequence[Array], windows: Sequence[Window], /) -> None: ...


FillSlot = Callable[[Slot, Sequence[Window]], None]
"""Writes the voxels of windows, the next ones or again after a lost connection, into a slot."""


def scan_window(
    volume: Array,
    grid: WindowGrid,
    ring: SlotRing,
    accumulator: Accumulator | LabelWindows,
    backend: Backend,
    *,
    batch: int,
    fill: float | None = 0.0,
    progress: ProgressCallback = silent,
) -> Array:
    """Run every window of `grid` over `volume` and return the accumulator's result.

    A mirrored window is written into its slot backwards, and its result is blended backwards. Results are blended in
    the order of the visits, whatever the number of slots: float32 sums, and with them labels, do not depend on it.
    A ring with several models sends each window to all of them; it is gathered once.

    Args:
        volume: [C, X, Y, Z] in the model's input dtype, on the backend.
        grid: The windows to visit.
        ring: Slots for at least `batch` windows each; the scan uses all of them.
        accumulator: Sums the results, or copies labels; an `EnsembleAccumulator` for several models.
        backend: Gathers the windows.
        batch: Windows per request.
        fill: Value outside the volume; None: that of the nearest voxel.
        progress: Called before the first request and after every reply.

    Raises:
        ServerError, ModelError, DeadlineError: As the ring raises them.
    """

    def fill_slot(slot: Slot, group: Sequence[Window]) -> None:
        for row, run in runs(group, lambda window: window.mirror):
            tiles, channels = mirrored(slot.input[row:], run[0].mirror), volume.shape[0]
            for n, starts in enumerate(grid.seen_with(run)):
                backend.gather(volume, starts, tiles[:, n * channels : (n + 1) * channels], fill)

    visit_windows(grid, ring, fill_slot, accumulator, backend, batch=batch, progress=progress)
    return accumulator.close()


def visit_windows(
    grid: WindowGrid,
    ring: SlotRing,
    fill_slot: FillSlot,
    receiver: Receiver,
    backend: Backend,
    *,
    batch: int,
    progress: ProgressCallback = silent,
) -> None:
    """Send every window of `grid` to the model, in the order of the visits, and its outputs to `receiver`.

    Arguments and errors are those of `scan_window`.
    """
    visits = grid.visits
    in_flight: deque[tuple[list[Slot], Sequence[Window]]] = deque()
    done = 0
    progress(Progress("infer", 0, len(visits)))

    def drain_oldest() -> None:
        nonlocal done
        slots, group = in_flight.popleft()
        receiver.add_group([ring.wait(slot) for slot in slots], group)
        for slot in slots:
            ring.release(slot)
        done += len(group)
        progress(Progress("infer", done, len(visits)))

    def fill(slot: Slot, group: Sequence[Window]) -> None:
        fill_slot(slot, group)
        backend.fence()  # the server reads the slot from another process

    for first in range(0, len(visits), batch):
        group = visits[first : first + batch]
        if len(in_flight) == ring.slots:
            drain_oldest()
        slots = ring.acquire_group()
        fill(slots[0], group)
        for slot in slots:
            slot.refill = partial(fill, group=group)
            ring.submit(slot, len(group))
        in_flight.append((slots, group))
    while in_flight:
        drain_oldest()
