"""The local engine: worker processes on this host, which get one case after the other."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.crashes import crash_outcome, describe_end
from gpu_infer.batch.engines.engine import CaseProgress
from gpu_infer.batch.engines.messages import Ended, LogLine, Ready, Step, Stopped
from gpu_infer.batch.engines.resources import worker_environment
from gpu_infer.batch.engines.worker_process import Inbox, WorkerProcess
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.leftovers import remove_leftovers
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import GpuInferError, ResourceError
from gpu_infer.system.host_memory import free_host_bytes

log = logging.getLogger(__name__)

_END_S = 8.0
"""Seconds for all workers to end after an interrupt."""


class LocalEngine:
    """`job.workers` processes on this host; on a GPU host, each on one of its GPUs.

    A worker that dies is replaced. Its cases are tried once more, one after the other by the new worker alone, so that
    the one that ends the worker is known; that one gets the status "crashed".

    Args:
        inherited: descriptors that the workers hold as long as they live, as of the batch's lock.
    """

    def __init__(self, inherited: Sequence[int] = ()) -> None:
        self._inherited = tuple(inherited)

    def outcomes(self, job: BatchJob, cases: Sequence[Case], progress: CaseProgress) -> Iterator[Outcome]:
        """See `Engine`."""
        run = _Run(job, cases, progress, self._inherited)
        try:
            yield from run.outcomes()
        finally:
            run.close()


class _Run:
    def __init__(
        self, job: BatchJob, cases: Sequence[Case], progress: CaseProgress, inherited: tuple[int, ...]
    ) -> None:
        share = free_host_bytes() // job.workers if job.workers > 1 else None
        self._job = replace(job, host_bytes=share)
        self._progress = progress
        self._inherited = inherited
        self._waiting = deque((case, 1) for case in cases)
        self._suspects: dict[int, deque[tuple[Case, int]]] = {}  # by number of the worker
        self._deaths_at_start: dict[int, int] = {}
        self._inbox: Inbox = Inbox()
        self._workers: list[WorkerProcess] = []
        self._environments = worker_environment(job, os.environ)
        self._error: GpuInferError | None = None

    def outcomes(self) -> Iterator[Outcome]:
        for number in range(min(self._job.workers, len(self._waiting))):
            self._start(number)
        self._deal()
        while any(worker.in_work for worker in self._workers):
            worker, message = self._inbox.get()
            match message:
                case Step():
                    self._progress(message.id, message.stage, message.done, message.total)
                case LogLine():
                    _log(message)
                case Ready():
                    worker.is_ready = True
                case Ended():
                    worker.in_work.pop(message.outcome.id)
                    self._deal()
                    yield message.outcome
                case Stopped():
                    self._stop(worker, message)
                case None if worker.closed:
                    self._take_back(worker)
                case None:
                    yield from self._replace(worker)
        if self._waiting:
            assert self._error is not None
            raise self._error

    def close(self) -> None:
        """End all workers, within `_END_S`."""
        until = time.monotonic() + _END_S
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.wait(until - time.monotonic())
        while not self._inbox.empty():
            _, message = self._inbox.get()
            if isinstance(message, LogLine):
                _log(message)
        self._workers.clear()

    def _start(self, number: int) -> WorkerProcess:
        job, environ = self._job.worker_job(number), self._environments[number]
        worker = WorkerProcess(number, job, self._inbox, environ, self._inherited)
        self._workers.append(worker)
        return worker

    def _deal(self) -> None:
        """Give each worker as many cases as it may have, one worker after the other."""
        for _ in range(self._job.lanes):
            for worker in self._workers:
                if worker.closed:
                    continue
                if suspects := self._suspects.get(worker.number):
                    if not worker.in_work:
                        worker.run(*suspects.popleft())
                elif self._waiting and len(worker.in_work) < self._job.lanes and not self._tries(worker):
                    worker.run(*self._waiting.popleft())

    def _tries(self, worker: WorkerProcess) -> bool:
        """Whether the worker runs a case that may end it, and gets no other one meanwhile."""
        return any(attempts > 1 for _, attempts in worker.in_work.values())

    def _stop(self, worker: WorkerProcess, message: Stopped) -> None:
        """Let a worker end that stopped. Its cases go to others after its end, if there are others."""
        error = message.error
        if error is None:
            raise RuntimeError(f"worker {worker.number}: {message.text}")
        if error.exit_code not in (4, 5):
            raise error
        log.error("worker %d stopped: %s", worker.number, message.text)
        self._error = error
        worker.close()

    def _take_back(self, worker: WorkerProcess) -> None:
        """Deal the cases in work of a worker that has ended."""
        again = [*worker.in_work.values(), *self._suspects.pop(worker.number, ())]
        self._waiting.extendleft(reversed([(case, 1) for case, _ in again]))
        worker.in_work.clear()
        self._deal()

    def _replace(self, dead: WorkerProcess) -> Iterator[Outcome]:
        """Start a new worker for one that died, and yield the outcome of a case that ended two workers."""
        dead.close()
        dead.wait(_END_S)
        self._workers.remove(dead)
        how = describe_end(dead.exit_status)
        self._deaths_at_start[dead.number] = 0 if dead.is_ready else self._deaths_at_start.get(dead.number, 0) + 1
        if self._deaths_at_start[dead.number] > 1:
            raise ResourceError(f"worker {dead.number} ended before its first case: {how}", remedy="see the log")
        log.warning("worker %d ended: %s; cases in work: %s", dead.number, how, ", ".join(dead.in_work))
        remove_leftovers(self._job.worker_job(dead.number).settings)
        suspects = self._suspects.setdefault(dead.number, deque())
        for case, attempts in dead.in_work.values():
            if not dead.is_ready:
                suspects.append((case, attempts))
            elif attempts > 1:
                yield crash_outcome(self._job, case, attempts, dead.exit_status)
            else:
                suspects.append((case, attempts + 1))
        if suspects or self._waiting:
            self._start(dead.number)
            self._deal()


def _log(line: LogLine) -> None:
    """Write a line of a worker's log into this process's."""
    logger = logging.getLogger(line.logger)
    if logger.isEnabledFor(line.level):
        record = logger.makeRecord(line.logger, line.level, "", 0, line.text, (), None)
        record.exc_text, record.has_case, record.notice = line.trace, True, line.notice
        logger.handle(record)
