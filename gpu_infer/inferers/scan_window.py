"""The scanning window: gather into slots, infer, blend in order, finish rows as they become final."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from ..backends.base import Backend
from ..progress import Progress, ProgressCallback, silent
from ..triton.ring import Slot, SlotRing
from .accumulator import Accumulator
from .windows import Window, WindowGrid


def scan_window(
    volume: Any,
    grid: WindowGrid,
    ring: SlotRing,
    accumulator: Accumulator,
    backend: Backend,
    *,
    batch: int,
    fill: float = 0.0,
    progress: ProgressCallback = silent,
) -> Any:
    """Run every window of `grid` over `volume` and return the accumulator's result.

    volume  [C, X, Y, Z] in the model's input dtype, on the backend
    ring    slots that hold at least `batch` windows each; all of them are kept in flight
    fill    value outside the volume

    Results are blended strictly in traversal order whatever the number of slots, so that float32 sums, and with them
    labels, do not depend on it. Raises what the ring raises: ServerError, ModelError, DeadlineError.
    """
    windows = grid.distinct
    in_flight: deque[tuple[Slot, Sequence[Window]]] = deque()
    done = 0
    progress(Progress("infer", 0, len(windows)))

    def drain_oldest() -> None:
        nonlocal done
        slot, group = in_flight.popleft()
        accumulator.add(ring.wait(slot), group)
        ring.release(slot)
        done += len(group)
        progress(Progress("infer", done, len(windows)))

    for first in range(0, len(windows), batch):
        group = windows[first : first + batch]
        if len(in_flight) == ring.slots:
            drain_oldest()
        slot = ring.acquire()
        backend.gather(volume, [w.start for w in group], slot.input, fill)
        backend.fence()  # the server reads the slot from another process
        ring.submit(slot, len(group))
        in_flight.append((slot, group))
    while in_flight:
        drain_oldest()
    return accumulator.close()
