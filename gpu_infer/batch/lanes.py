"""Lanes: threads of one worker, each of which runs one case at a time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gpu_infer.batch.case import Case
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.worker import Worker
from gpu_infer.errors import GpuInferError, Interrupted
from gpu_infer.progress import Progress

log = logging.getLogger(__name__)

_EVENTS_EVERY_S = 0.25
"""Seconds between two events of one stage of one case."""


@dataclass(frozen=True)
class LaneEvents:
    """Receive what happens in the lanes, each from the thread of a lane.

    progress  (id of the case, state)
    outcome   of a case
    stopped   the error that stopped the worker; once
    """

    progress: Callable[[str, Progress], object]
    outcome: Callable[[Outcome], object]
    stopped: Callable[[BaseException], object]


class Lanes:
    """Runs the cases that `put` receives, up to `count` at a time.

    An error that stops the worker ends all lanes: the cases in work are given up, without an outcome.
    """

    def __init__(self, worker: Callable[[], Worker], count: int, events: LaneEvents) -> None:
        """worker  called before each case, by any lane; an error from it stops the lanes"""
        self._worker = worker
        self._events = events
        self._cases: queue.SimpleQueue[tuple[Case, int] | None] = queue.SimpleQueue()
        self._gives_up = threading.Event()
        self._lock = threading.Lock()
        self._busy = 0
        self._threads = [threading.Thread(target=self._run, name=f"lane-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether no case is in work."""
        with self._lock:
            return self._busy == 0

    def put(self, case: Case, attempts: int) -> None:
        """Run a case as soon as a lane is free."""
        self._cases.put((case, attempts))

    def give_up(self) -> None:
        """Interrupt each case in work at its next event of progress, and begin no other."""
        self._gives_up.set()
        for _ in self._threads:
            self._cases.put(None)

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the lanes; whether all have ended within `seconds`."""
        until = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if until is None else max(until - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (item := self._cases.get()) is not None and not self._gives_up.is_set():
            case, attempts = item
            self._count(1)
            try:
                outcome = self._worker().run(case, attempts, self._steps_of(case))
            except BaseException as error:
                self._stop(error)
                break
            finally:
                self._count(-1)
            self._events.outcome(outcome)

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change

    def _steps_of(self, case: Case) -> Callable[[Progress], None]:
        last: dict[str, float] = {}

        def step(state: Progress) -> None:
            if self._gives_up.is_set():
                raise Interrupted(f"{case.id}: given up", remedy="the next batch runs it")
            now = time.monotonic()
            if state.done in (0, state.total) or now - last.get(state.stage, 0.0) >= _EVENTS_EVERY_S:
                last[state.stage] = now
                self._events.progress(case.id, state)

        return step

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            is_first = not self._gives_up.is_set()
            self.give_up()
        if is_first:
            self._events.stopped(error)
        elif not isinstance(error, GpuInferError):
            log.debug("while the worker stopped: %r", error)
