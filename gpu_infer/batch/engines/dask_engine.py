"""The engine of a Dask cluster: its workers run the cases, this process deals them."""

from __future__ import annotations

import logging
import pickle
import queue
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.dask_cluster import FAILURES, Probe, connection, worker_states
from gpu_infer.batch.engines.dask_crash import lost_outcome
from gpu_infer.batch.engines.dask_dealing import Attempt, DaskWorker, Dealing
from gpu_infer.batch.engines.dask_events import TOPIC, write_line
from gpu_infer.batch.engines.dask_task import Batch, BatchPlugin, Stopped, run_case
from gpu_infer.batch.engines.engine import CaseProgress
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import ConfigError, GpuInferError, InputError, Interrupted, ResourceError, ServerError

WAIT_S = 60.0
"""Seconds to wait for the scheduler, and for workers while there are none, if `--wait` is not given."""

_POLL_S = 0.05
_LOOK_S = 0.5  # between two looks at the list of workers
_END_S = 5.5
"""Seconds for the workers to give up their cases after an interrupt."""

_ERRORS: dict[int, type[GpuInferError]] = {
    error.exit_code: error for error in (ConfigError, InputError, ServerError, ResourceError, Interrupted)
}

log = logging.getLogger(__name__)


class DaskEngine:
    """Runs cases in the worker processes of a Dask cluster, `job.lanes` at a time in each.

    Inputs and outputs are on a file system that all hosts share. Workers may come and go. The cases of a worker that
    died run once more, each alone in a worker; the one that ends it again gets the status "crashed".

    Args:
        scheduler: tcp://host:port of the scheduler, or its scheduler file.
    """

    def __init__(self, scheduler: str) -> None:
        self._scheduler = scheduler

    def outcomes(self, job: BatchJob, cases: Sequence[Case], progress: CaseProgress) -> Iterator[Outcome]:
        """See `Engine`."""
        wait_s = WAIT_S if job.settings.wait_s is None else job.settings.wait_s
        with connection(self._scheduler, wait_s) as client, Probe(client, job, cases) as probe:
            run = _Run(client, job, cases, progress, probe, wait_s)
            try:
                yield from run.outcomes()
            finally:
                run.close()


class _Run:
    def __init__(
        self,
        client: Client,
        job: BatchJob,
        cases: Sequence[Case],
        progress: CaseProgress,
        probe: Probe,
        wait_s: float,
    ) -> None:
        self._client = client
        self._job = job
        self._cases = cases
        self._progress = progress
        self._probe = probe
        self._wait_s = wait_s
        self._token = f"gpu_infer-{secrets.token_hex(8)}"
        self._dealing = Dealing(cases, job.lanes)
        self._futures: dict[Future, tuple[DaskWorker, Attempt]] = {}
        self._results = as_completed(with_results=True, raise_errors=False, loop=client.loop)
        self._unusable: set[str] = set()  # workers that an error stopped, or that failed a check
        self._error: GpuInferError | None = None
        self._unclean: set[str] = set()  # hosts of workers that died
        self._next_look = 0.0
        self._has_plugin = False
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()  # of Dask's thread

    def outcomes(self) -> Iterator[Outcome]:
        try:
            self._client.subscribe_topic(TOPIC, lambda event: self._events.put(event[1]))
            deadline = time.monotonic() + self._wait_s
            while not self._dealing.is_over:
                yield from self._look_at_workers()
                if self._dealing.workers:
                    deadline = time.monotonic() + self._wait_s
                elif self._error is not None:
                    raise self._error
                elif time.monotonic() > deadline:
                    raise ServerError(
                        f"no Dask worker within {self._wait_s:g} s",
                        remedy="start workers for this scheduler (dask worker, dask cuda worker), or wait longer "
                        "(--wait)",
                    )
                self._deal()
                time.sleep(_POLL_S)
                self._show_events()
                for future, result in self._results.next_batch(block=False):
                    yield from self._end(future, result)
        except FAILURES as error:
            if isinstance(error, OSError) or self._client.status != "running":
                raise self._lost_scheduler() from error
            raise

    def close(self) -> None:
        """Cancel the tasks and end the lanes of all workers, within `_END_S`."""
        ending = threading.Thread(target=self._end_tasks, name="end-batch", daemon=True)
        ending.start()
        ending.join(_END_S)

    def _end_tasks(self) -> None:
        with suppress(*FAILURES, Exception):  # the workers of a lost scheduler end by themselves
            if self._client.status == "running":
                self._client.unsubscribe_topic(TOPIC)
                self._client.cancel(list(self._futures))
                if self._has_plugin:
                    self._client.unregister_worker_plugin(self._token)

    def _look_at_workers(self) -> Iterator[Outcome]:
        """Compare the list of workers with the known ones. Raises ServerError if the scheduler has vanished."""
        if self._client.status != "running":
            raise self._lost_scheduler()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_S
        current = worker_states(self._client)
        known = self._dealing.workers
        for address in [address for address in known if address not in current]:
            yield from self._lose(known[address])
        if new := sorted(set(current) - set(known) - self._unusable):
            self._admit(new)
        for address, worker in known.items():
            worker.takes_more = current.get(address, True)

    def _admit(self, addresses: list[str]) -> None:
        faults = self._probe.faults(addresses)
        is_first = not self._has_plugin
        if is_first and faults:
            raise next(iter(faults.values()))
        if is_first:  # after the check, since it is of this package
            self._client.register_plugin(BatchPlugin(self._token))
            self._has_plugin = True
        for address in addresses:
            if (fault := faults.get(address)) is None:
                worker = self._dealing.add(address)
                log.info("Dask worker %d: %s", worker.number, address)
            else:  # one that came later does not end the batch
                log.warning("%s: gets no case", fault)
                self._unusable.add(address)

    def _deal(self) -> None:
        for worker, attempt in self._dealing.deal():
            host = _host(worker.address)
            sharing = sum(_host(address) == host for address in self._dealing.workers)
            workers = len(self._dealing.workers)
            job = replace(self._job.worker_job(worker.number, workers), workers=sharing)
            batch = Batch(self._token, job, self._probe.begun_ns, _log_level())
            future = self._client.submit(
                run_case,
                pickle.dumps((batch, attempt, host in self._unclean)),
                key=f"{self._token}-{attempt.number}-{secrets.token_hex(4)}",  # no identifier: the dashboard shows it
                workers=[worker.address],
                pure=False,
            )
            self._unclean.discard(host)
            self._futures[future] = worker, attempt
            self._results.add(future)

    def _end(self, future: Future, result: Any) -> Iterator[Outcome]:
        """The outcome of a task that ended, if it is of a worker that is still there."""
        worker, attempt = self._futures.pop(future, (None, None))
        if worker is None or attempt is None or worker.address not in self._dealing.workers:
            return
        if isinstance(result, Outcome):
            worker.is_ready = True
            self._dealing.end(worker, attempt.number)
            yield result
        elif isinstance(result, Stopped):
            self._stop(worker, result)
        elif self._client.status != "running":
            raise self._lost_scheduler()
        elif future.status == "error" and not isinstance(result[1], KilledWorker):
            raise RuntimeError(f"Dask worker {worker.address}: {type(result[1]).__name__}: {result[1]}") from result[1]
        else:  # killed more often than Dask allows, or cancelled by somebody else
            yield from self._lose(worker)

    def _stop(self, worker: DaskWorker, stopped: Stopped) -> None:
        """Take back the cases of a worker that an error stopped; others go on, if there are others."""
        if stopped.exit_code not in _ERRORS:
            raise RuntimeError(f"Dask worker {worker.address}: {stopped.message}")
        error = _ERRORS[stopped.exit_code](stopped.message, remedy=stopped.remedy)
        if isinstance(error, Interrupted):  # the worker was asked to end
            log.warning("Dask worker %s ends; others get its cases", worker.address)
            self._take_back(worker)
            return
        if not worker.is_ready and stopped.exit_code not in (ServerError.exit_code, ResourceError.exit_code):
            raise error
        log.error("Dask worker %s stopped: %s", worker.address, error)
        self._error = error
        self._take_back(worker)

    def _take_back(self, worker: DaskWorker) -> None:
        self._unusable.add(worker.address)
        self._forget(worker)
        self._dealing.stop(worker)

    def _lose(self, worker: DaskWorker) -> Iterator[Outcome]:
        """Forget a worker that died, and yield the outcome of a case that ended two workers."""
        names = ", ".join(attempt.case.id for attempt in worker.in_work.values())
        log.error("Dask worker %s is lost; cases in work: %s", worker.address, names or "none")
        self._unclean.add(_host(worker.address))
        self._forget(worker)
        for attempt in self._dealing.lose(worker):
            yield lost_outcome(self._job, attempt)

    def _forget(self, worker: DaskWorker) -> None:
        """Cancel the tasks of a worker: they are restricted to it, so that no other one would run them."""
        futures = [future for future, (owner, _) in self._futures.items() if owner is worker]
        for future in futures:
            del self._futures[future]
        self._client.cancel(futures)

    def _show_events(self) -> None:
        with suppress(queue.Empty):
            while True:
                token, kind, *values = self._events.get_nowait()
                if token != self._token:
                    continue
                if kind == "log":
                    write_line(*values)
                else:
                    number, stage, done, total = values
                    self._progress(self._cases[number].id, stage, done, total)

    def _lost_scheduler(self) -> ServerError:
        return ServerError(
            "the connection to the Dask scheduler was lost",
            remedy="start it and its workers again, then repeat the command: cases that are done are skipped",
        )


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _log_level() -> int:
    return logging.getLogger("gpu_infer").getEffectiveLevel()
