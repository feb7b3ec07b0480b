"""Memory of the host for several cases at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gpu_infer.planning.memory_plan import MemoryPlan

log = logging.getLogger(__name__)


class CaseMemory:
    """Admits a case when its volume fits beside those of the cases in work.

    A case has its volume and its labels on the host from reading to writing. All else that its plan counts, it needs in
    one of its turns on the reader, the backend and the writer: of all cases in work, the largest need counts. A case
    alone is always admitted, because its plan fits.
    """

    def __init__(self) -> None:
        self._in_work: list[MemoryPlan] = []
        self._changed = threading.Condition()
        self._said = False

    @property
    def in_work(self) -> int:
        """Number of cases that are admitted."""
        with self._changed:
            return len(self._in_work)

    @contextmanager
    def admit(self, plan: MemoryPlan, limit: int | None) -> Iterator[None]:
        """Wait until the case has memory, and return the memory after the context.

        limit  bytes that the process may have in all, None: no limit
        """
        with self._changed:
            while not self._fits(plan, limit):
                self._say(plan, limit)
                self._changed.wait(0.2)  # with a limit, so that an interrupt of the main thread is seen
            self._in_work.append(plan)
        try:
            yield
        finally:
            with self._changed:
                self._in_work.remove(plan)
                self._changed.notify_all()

    def _fits(self, plan: MemoryPlan, limit: int | None) -> bool:
        return not self._in_work or limit is None or needed_bytes([*self._in_work, plan]) <= limit

    def _say(self, plan: MemoryPlan, limit: int | None) -> None:
        """Log once per session that memory allows fewer lanes."""
        if not self._said and limit is not None:
            self._said = True
            log.warning(
                "memory for %d case%s at a time: another one would need %.1f GiB, %.1f GiB are free",
                len(self._in_work),
                "s" if len(self._in_work) > 1 else "",
                needed_bytes([*self._in_work, plan]) / 2**30,
                limit / 2**30,
            )


def needed_bytes(plans: list[MemoryPlan]) -> int:
    """Peak of the host with these cases in work: every volume, and the largest need beside a volume."""
    return sum(plan.volume_bytes for plan in plans) + max(plan.host_peak - plan.volume_bytes for plan in plans)
