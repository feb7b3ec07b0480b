"""What runs in the worker processes of a Dask cluster: the lanes of one batch, and the tasks that use them."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Worker as DaskProcess
from distributed import WorkerPlugin, get_worker, secede

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.dask_dealing import Attempt
from gpu_infer.batch.engines.dask_events import TOPIC, EventHandler, Steps
from gpu_infer.batch.error_kinds import known_error, line_of
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.lanes import LaneEvents, Lanes
from gpu_infer.batch.leftovers import remove_leftovers
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import FILE, decide, outcome_of
from gpu_infer.batch.worker import Worker
from gpu_infer.errors import Interrupted, ResourceError
from gpu_infer.logs import mark_lines
from gpu_infer.system.host_memory import free_host_bytes
from gpu_infer.triton.shm.registration import close_unreported

GIVE_UP_S = 4.5
"""Seconds for cases in work to be given up."""

IDLE_S = 60.0
"""Seconds without a case after which a worker's session is closed: its batch may have been killed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What every task of a batch gets.

    token      name of the batch, with which the keys of its tasks begin
    job        with the worker's own server
    begun_ns   time of the output folder's file system before the first case
    log_level  of the batch's log
    """

    token: str
    job: BatchJob
    begun_ns: int
    log_level: int


@dataclass(frozen=True)
class Stopped:
    """An error stopped the worker, which runs no further case. `exit_code` 1: the error is unexpected."""

    message: str
    remedy: str | None
    exit_code: int


_ENDED = Stopped("the batch ended", None, Interrupted.exit_code)
_TAKEN = Stopped("another batch has begun on the same Dask workers", "run one after the other", ResourceError.exit_code)


def check_host(probe: str, token: str, paths: Sequence[str]) -> str | None:
    """The first path that this host does not see, or not as the batch's host does; None if it sees all of them."""
    try:
        if Path(probe).read_text(encoding="utf-8") != token:
            return probe
    except OSError:
        return probe
    return next((path for path in paths if not Path(path).exists()), None)


def remove_remains(job: BatchJob) -> None:
    """Remove the shared memory of dead processes of this host."""
    for number in range(max(len(job.servers), 1)):
        remove_leftovers(job.worker_job(number).settings)


def run_case(data: bytes) -> Outcome | Stopped:
    """The task: run a case, unless an earlier run of this task has ended it.

    data  a Batch, an Attempt, and whether to remove first what another worker of this host has left in shared memory;
          a pickle of our own, because Dask looks for tasks in arguments
    """
    batch, attempt, cleans = pickle.loads(data)
    secede()  # waits for a lane: a worker with one thread shall have several cases in work
    if cleans:
        remove_remains(batch.job)
    if (outcome := _ended(batch, attempt.case)) is not None:
        return outcome
    while (answer := _lanes_of(batch).run(attempt)) is None:
        pass
    return answer


def _ended(batch: Batch, case: Case) -> Outcome | None:
    """The outcome in case.json, if this batch wrote it: Dask repeats tasks whose results it has lost."""
    with suppress(OSError):
        if (batch.job.case_folder(case) / FILE).stat().st_mtime_ns >= batch.begun_ns:
            record = decide(batch.job, case, job_key(batch.job)).record
            return None if record is None else replace(outcome_of(record), skipped=False)
    return None


class BatchPlugin(WorkerPlugin):  # type: ignore[misc]
    """Ends the lanes of a batch if one of its tasks is cancelled, and when the worker or the batch ends."""

    idempotent = True

    def __init__(self, token: str) -> None:
        self.name = token

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask cancels tasks if the batch is interrupted, or if its process or the scheduler has vanished."""
        if start in ("executing", "long-running") and finish in ("cancelled", "released", "forgotten"):
            lanes = _running.get(self.name)
            if lanes is not None and str(key).startswith(self.name):
                threading.Thread(target=lanes.end, name="end-batch", daemon=True).start()

    async def setup(self, worker: DaskProcess) -> None:
        """End the lanes of other batches before the first case: a batch that was killed may still be in work here."""
        with _running_lock:
            others = [lanes for token, lanes in _running.items() if token != self.name]
        for lanes in others:
            await asyncio.to_thread(lanes.end, _TAKEN)

    async def teardown(self, worker: DaskProcess) -> None:
        """End the lanes. The event loop of the worker goes on meanwhile."""
        lanes = _running.get(self.name)
        if lanes is not None:
            await asyncio.to_thread(lanes.end)


class _BatchLanes:
    """The lanes of a batch in this process, with the one worker that they share."""

    def __init__(self, batch: Batch, send: Callable[[Any], None]) -> None:
        self._batch = batch
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self._worker_lock = threading.Lock()
        self._answers: dict[str, Future[Outcome | Stopped]] = {}
        self._idle: threading.Timer | None = None
        self._has_ended = threading.Event()
        self._ends = False
        self._expires = False
        self._answer = _ENDED
        self._steps = Steps(send)
        self._handler = EventHandler(send, batch.log_level)
        mark_lines(self._handler)
        self._logger = logging.getLogger("gpu_infer")
        self._logger.addHandler(self._handler)
        self._logger.setLevel(batch.log_level)
        events = LaneEvents(progress=self._steps.step, outcome=self._take, stopped=self._stop)
        remove_remains(batch.job)
        self._lanes = Lanes(self._started_worker, batch.job.lanes, events)

    def run(self, attempt: Attempt) -> Outcome | Stopped | None:
        """Run a case in a lane and wait for it; None if these lanes have just ended for want of cases."""
        answer: Future[Outcome | Stopped] = Future()
        with self._lock:
            ends = self._ends
            if not ends:
                self._stop_timer()
                self._answers[attempt.case.id] = answer
                self._steps.numbers[attempt.case.id] = attempt.number
        if ends:
            self._has_ended.wait(GIVE_UP_S)
            return None if self._expires else self._answer
        self._lanes.put(attempt.case, attempt.attempts)
        return answer.result()

    def end(self, answer: Stopped | None = None) -> None:
        """Give up the cases in work and close the session, within `GIVE_UP_S`; or wait for whoever does so.

        answer  of the tasks that wait; by default that the batch has ended
        """
        with self._lock:
            is_first, self._ends = not self._ends, True
            was_idle = not self._answers
            self._answer = answer or self._answer
            self._stop_timer()
        if is_first:
            self._close(was_idle)
        else:
            self._has_ended.wait(GIVE_UP_S)

    def _expire(self) -> None:
        """End if there is no case."""
        with self._lock:
            if self._ends or self._answers:
                return
            self._ends = self._expires = True
        self._close(was_idle=True)

    def _close(self, was_idle: bool) -> None:
        self._lanes.give_up()
        if self._lanes.join(GIVE_UP_S):
            self._close_worker(was_idle)
        else:  # a request hangs: its lane ends with it
            threading.Thread(target=self._close_late, name="close-late", daemon=True).start()
        self._logger.removeHandler(self._handler)
        with _running_lock:
            if _running.get(self._batch.token) is self:
                del _running[self._batch.token]
        self._has_ended.set()
        self._answer_all(self._answer)

    def _close_late(self) -> None:
        self._lanes.join()
        self._close_worker(was_idle=False)

    def _close_worker(self, was_idle: bool) -> None:
        if self._worker is not None:
            given_up = None if was_idle else Interrupted("the batch ended")
            self._worker.__exit__(type(given_up) if given_up else None, given_up, None)
        close_unreported()

    def _started_worker(self) -> Worker:
        with self._worker_lock:
            if self._worker is None:
                job = self._batch.job
                share = free_host_bytes() // job.workers if job.workers > 1 else None
                self._worker = Worker(replace(job, host_bytes=share))
            return self._worker

    def _take(self, outcome: Outcome) -> None:
        with self._lock:
            answer = self._answers.pop(outcome.id, None)
            if not self._answers and not self._ends:
                self._idle = threading.Timer(IDLE_S, self._expire)
                self._idle.daemon = True
                self._idle.start()
        if answer is not None:
            answer.set_result(outcome)

    def _stop(self, error: BaseException) -> None:
        known = known_error(error)
        if known is None:
            stopped = Stopped(line_of(error), None, 1)
            log.error("the worker stopped", exc_info=error)
        else:
            stopped = Stopped(known.message, known.remedy, known.exit_code)
        self._answer_all(stopped)
        threading.Thread(target=self.end, name="end-batch", daemon=True).start()  # not by a lane, which it waits for

    def _answer_all(self, stopped: Stopped) -> None:
        with self._lock:
            answers = list(self._answers.values())
            self._answers.clear()
        for answer in answers:
            answer.set_result(stopped)

    def _stop_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


_running: dict[str, _BatchLanes] = {}
_running_lock = threading.Lock()


def _lanes_of(batch: Batch) -> _BatchLanes:
    """The lanes of the batch in this process."""
    with _running_lock:
        if batch.token not in _running:
            process = get_worker()
            _running[batch.token] = _BatchLanes(
                batch, lambda message: process.log_event(TOPIC, [batch.token, *message])
            )
        return _running[batch.token]
