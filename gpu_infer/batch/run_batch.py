"""A batch from its cases to its summary. `run_batch` is the order of the steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gpu_infer.batch.case import Case
from gpu_infer.batch.case_folder import remove_partial_files
from gpu_infer.batch.engines.engine import Engine
from gpu_infer.batch.engines.parts import Part
from gpu_infer.batch.error_kinds import TRANSIENT
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import JobKey, job_key
from gpu_infer.batch.leftovers import remove_leftovers
from gpu_infer.batch.lock import batch_lock, summary_lock
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import Decision, decide, outcome_of, write_record
from gpu_infer.batch.summary import (
    STATUS_FILE,
    Summary,
    all_outcomes,
    check_summary_places,
    make_summary,
    write_summary,
)
from gpu_infer.errors import CasesFailed, ConfigError, GpuInferError, ResourceError, ServerError
from gpu_infer.writers.atomic import check_folder, folder_error, make_folder

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Receives what happens in a batch, in the thread that runs it."""

    def begin(self, skipped: Sequence[Outcome], todo: int) -> None: ...

    def progress(self, case: str, stage: str, done: int, total: int) -> None: ...

    def outcome(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class BatchChoices:
    """What to run.

    force         run every case again
    retry_failed  run cases again that failed by their own fault
    part          of the cases, None: all
    """

    force: bool = False
    retry_failed: bool = False
    part: Part | None = None


@dataclass
class BatchResult:
    """The end of a batch.

    outcomes  of this part's cases that have ended, in the order of their ends, skipped ones first
    summary   content of summary.json
    error     that stopped the workers; the cases without an outcome are for the next batch
    """

    outcomes: list[Outcome] = field(default_factory=list)
    summary: Summary = field(default_factory=dict)
    error: GpuInferError | None = None

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes of cases that are not done."""
        return [outcome for outcome in self.outcomes if outcome.status != "done"]

    def raise_failure(self, output: Path) -> None:
        """Raise the error with which the batch ends, if cases failed.

        Raises:
            ServerError, ResourceError: The workers stopped, or no case failed by its own fault: run the batch again.
            CasesFailed: Cases failed by their own fault.
        """
        if self.error is not None:
            raise self.error
        failures = self.failures
        if not failures:
            return
        message = f"{len(failures)} of {len(self.outcomes)} cases failed, the last one with: {failures[-1].error}"
        if all(outcome.kind in TRANSIENT for outcome in failures):
            error_class = ServerError if failures[-1].kind == "server" else ResourceError
            raise error_class(message, remedy="the same command tries them again")
        raise CasesFailed(message, remedy=f"{output / STATUS_FILE} lists them; --retry-failed runs them again")


def run_batch(
    job: BatchJob,
    cases: Sequence[Case],
    make_engine: Callable[[Sequence[int]], Engine],
    watcher: Watcher,
    choices: BatchChoices = BatchChoices(),
) -> BatchResult:
    """Run the cases that are not done yet, and write status.csv and summary.json.

    Args:
        job: of the batch.
        cases: all cases, of all parts, with unique identifiers.
        make_engine: receives descriptors that worker processes of this host hold as long as they live.
        watcher: receives the progress.
        choices: which cases run.

    Raises:
        ConfigError: Another batch is at work in the output folder, or it, or the configuration, cannot be used.
        Interrupted: After the summary was written.
    """
    began = time.perf_counter()
    key = job_key(job)
    make_folder(job.output)
    check_folder(job.output)
    check_summary_places(job)
    _check_no_links(job, cases)
    own = list(cases) if choices.part is None else choices.part.cases(cases)
    result = BatchResult()
    with batch_lock(job.output, choices.part) as handles:
        _remove_remains(job)
        todo, skipped = [], []
        for case in own:
            decision = decide(job, case, key, force=choices.force, retry_failed=choices.retry_failed)
            if decision.record is None:
                todo.append(case)
            else:
                _update(job, case, decision)
                skipped.append(outcome_of(decision.record))
        result.outcomes += skipped
        watcher.begin(skipped, len(todo))
        log.info("%d cases: %d ended before, %d to run", len(own), len(skipped), len(todo))
        try:
            _run(job, todo, make_engine(handles), watcher, result)
        finally:
            result.summary = _summarize(job, cases, result.outcomes, key, time.perf_counter() - began)
    return result


def _check_no_links(job: BatchJob, cases: Sequence[Case]) -> None:
    """Raise ConfigError if the folder of a case is a link: outputs would be written elsewhere."""
    for case in cases:
        folder = job.case_folder(case)
        if folder.is_symlink():
            raise ConfigError(
                f"{folder}: found a link, expected the folder of a case", remedy="remove it, or give another output"
            )


def _run(job: BatchJob, todo: Sequence[Case], engine: Engine, watcher: Watcher, result: BatchResult) -> None:
    if not todo:
        return
    try:
        with closing(engine.outcomes(job, todo, watcher.progress)) as outcomes:  # type: ignore[type-var]
            for outcome in outcomes:
                result.outcomes.append(outcome)
                watcher.outcome(outcome)
    except (ServerError, ResourceError) as error:
        result.error = error


def _remove_remains(job: BatchJob) -> None:
    """Remove what killed batches have left, in the output folder and in shared memory."""
    try:
        with summary_lock(job.output):  # another part may be writing its summary
            remove_partial_files(job.output)
    except OSError as error:
        raise folder_error(error, job.output) from error
    for number in range(max(len(job.servers), 1)):
        remove_leftovers(job.worker_job(number).settings)


def _update(job: BatchJob, case: Case, decision: Decision) -> None:
    """Record the new times of files that have the same content, so that they are not read again."""
    if decision.has_new_times and decision.record is not None:
        try:
            write_record(job.case_folder(case), decision.record)
        except OSError as error:
            raise folder_error(error, job.case_folder(case)) from error


def _summarize(
    job: BatchJob, cases: Sequence[Case], outcomes: Sequence[Outcome], key: JobKey, seconds: float
) -> Summary:
    known = {outcome.id: outcome for outcome in outcomes}
    with summary_lock(job.output):
        ended = all_outcomes(job, cases, known, key)
        summary = make_summary(cases, ended, seconds, str(job.settings.config))
        try:
            write_summary(job, cases, ended, summary)
        except OSError as error:
            log.warning("%s: the summary could not be written: %s", job.output, error.strerror)
    for message in summary["warnings"]:
        log.warning("%s", message)
    return summary
