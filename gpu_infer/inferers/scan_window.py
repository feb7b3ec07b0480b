"""The scanning window: gather windows into slots, infer, blend the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.inferers.accumulator import Accumulator, mirrored
from gpu_infer.inferers.label_windows import LabelWindows
from gpu_infer.inferers.windows import Window, WindowGrid, runs
from gpu_infer.progress import Progress, ProgressCallback, silent
from gpu_infer.triton.ring import Slot, SlotRing


def scan_window(
    volume: Array,
    grid: WindowGrid,
    ring: SlotRing,
    accumulator: Accumulator | LabelWindows,
    backend: Backend,
    *,
    batch: int,
    fill: float = 0.0,
    progress: ProgressCallback = silent,
) -> Array:
    """Run every window of `grid` over `volume` and return the accumulator's result.

    A mirrored window is written into its slot backwards, and its result is blended backwards. Results are blended in
    the order of the visits, whatever the number of slots: float32 sums, and with them labels, do not depend on it.

    Args:
        volume: [C, X, Y, Z] in the model's input dtype, on the backend.
        grid: The windows to visit.
        ring: Slots for at least `batch` windows each; the scan uses all of them.
        accumulator: Sums the results, or copies labels.
        backend: Gathers the windows.
        batch: Windows per request.
        fill: Value outside the volume.
        progress: Called before the first request and after every reply.

    Raises:
        ServerError, ModelError, DeadlineError: As the ring raises them.
    """
    visits = grid.visits
    in_flight: deque[tuple[Slot, Sequence[Window]]] = deque()
    done = 0
    progress(Progress("infer", 0, len(visits)))

    def drain_oldest() -> None:
        nonlocal done
        slot, group = in_flight.popleft()
        accumulator.add(ring.wait(slot), group)
        ring.release(slot)
        done += len(group)
        progress(Progress("infer", done, len(visits)))

    def fill_slot(slot: Slot, group: Sequence[Window]) -> None:
        for row, run in runs(group, lambda window: window.mirror):
            tiles, channels = mirrored(slot.input[row:], run[0].mirror), volume.shape[0]
            for n, starts in enumerate(grid.seen_with(run)):
                backend.gather(volume, starts, tiles[:, n * channels : (n + 1) * channels], fill)
        backend.fence()  # the server reads the slot from another process

    for first in range(0, len(visits), batch):
        group = visits[first : first + batch]
        if len(in_flight) == ring.slots:
            drain_oldest()
        slot = ring.acquire()
        fill_slot(slot, group)
        slot.refill = partial(fill_slot, group=group)
        ring.submit(slot, len(group))
        in_flight.append((slot, group))
    while in_flight:
        drain_oldest()
    return accumulator.close()
