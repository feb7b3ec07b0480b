"""Which worker gets which case: at most as many at a time as it has lanes, and a suspect alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gpu_infer.batch.case import Case


class Attempt(NamedTuple):
    """An attempt at a case: the first, or a later one after the worker of an earlier one died."""

    number: int
    case: Case
    attempts: int = 1


@dataclass(eq=False)
class DaskWorker:
    """A worker process of the cluster.

    number      from 0, in the order in which workers were seen
    in_work     attempts by the number of their case
    is_ready    it has ended a case
    takes_more  whether Dask lets it begin tasks: one that is paused or retires does not
    """

    address: str
    number: int
    in_work: dict[int, Attempt] = field(default_factory=dict)
    is_ready: bool = False
    takes_more: bool = True


class Dealing:
    """Cases that wait, and those in work.

    Dask is never given more than the workers have in work: a queued task would count as one that ended a worker. The
    cases of a worker that died are suspects. One worker gets no other case until each has run there alone, so that the
    one that ends workers is known.
    """

    def __init__(self, cases: Sequence[Case], lanes: int) -> None:
        self._lanes = lanes
        self._waiting = deque(Attempt(number, case) for number, case in enumerate(cases))
        self._suspects: deque[Attempt] = deque()
        self._tester: DaskWorker | None = None
        self.workers: dict[str, DaskWorker] = {}
        self._seen = 0

    @property
    def in_work(self) -> bool:
        """Whether a worker has a case."""
        return any(worker.in_work for worker in self.workers.values())

    @property
    def is_over(self) -> bool:
        """Whether all cases have ended."""
        return not (self._waiting or self._suspects or self.in_work)

    def add(self, address: str) -> DaskWorker:
        """A new worker, which has no cases yet."""
        worker = self.workers[address] = DaskWorker(address, self._seen)
        self._seen += 1
        return worker

    def deal(self) -> list[tuple[DaskWorker, Attempt]]:
        """Take cases for all workers that may have more, one worker after the other, and count them as in work."""
        dealt = []
        self._choose_tester()
        for _ in range(self._lanes):
            for worker in self.workers.values():
                attempt = self._next_for(worker)
                if attempt is not None:
                    worker.in_work[attempt.number] = attempt
                    dealt.append((worker, attempt))
        return dealt

    def _choose_tester(self) -> None:
        tester = self._tester
        is_needed = tester is not None and (tester.in_work or (self._suspects and tester.takes_more))
        if is_needed and tester in self.workers.values():
            return
        self._tester = None
        if self._suspects and (free := [worker for worker in self.workers.values() if worker.takes_more]):
            self._tester = min(free, key=lambda worker: len(worker.in_work))

    def _next_for(self, worker: DaskWorker) -> Attempt | None:
        if not worker.takes_more:
            return None
        if worker is self._tester:
            return self._suspects.popleft() if self._suspects and not worker.in_work else None
        if self._waiting and len(worker.in_work) < self._lanes:
            return self._waiting.popleft()
        return None

    def end(self, worker: DaskWorker, number: int) -> None:
        """A case has ended."""
        worker.in_work.pop(number, None)

    def lose(self, worker: DaskWorker) -> list[Attempt]:
        """Forget a worker that died, and return the attempts that failed for the second time; others are suspects."""
        del self.workers[worker.address]
        condemned = []
        for attempt in worker.in_work.values():
            if attempt.attempts > 1:
                condemned.append(attempt)
            else:
                self._suspects.append(attempt._replace(attempts=attempt.attempts + 1))
        worker.in_work.clear()
        return condemned

    def stop(self, worker: DaskWorker) -> None:
        """Forget a worker that an error stopped; others get its cases."""
        del self.workers[worker.address]
        for attempt in reversed(worker.in_work.values()):
            (self._suspects if attempt.attempts > 1 else self._waiting).appendleft(attempt)
        worker.in_work.clear()
