"""A worker: one session, and the cases that it runs, each with its case.json."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from gpu_infer.batch.case import Case
from gpu_infer.batch.case_folder import prepare, remove_earlier
from gpu_infer.batch.error_kinds import TRANSIENT, exit_code_of, kind_of, known_error, line_of
from gpu_infer.batch.inputs import Look, look_at_inputs
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import done_record, failed_record, read_record, write_record
from gpu_infer.errors import ConfigError, Interrupted
from gpu_infer.logs import case_in_log
from gpu_infer.progress import ProgressCallback
from gpu_infer.session.session import Session
from gpu_infer.writers.atomic import folder_error

if TYPE_CHECKING:
    from gpu_infer.session.result import RunResult

log = logging.getLogger(__name__)

_TIMES_IN_A_ROW = 2
"""Errors of the server or the machine, without a case that succeeds between them, that stop a worker."""

_FIRST_ALIKE = 3
"""First cases with one and the same error of the configuration or the model, which then is not about the cases."""

_OF_REPORT = ("input", "model", "stages", "tiles", "triton", "versions", "warnings")
"""Sections of report.json that an outcome takes along."""


class Worker:
    """Runs cases of one job; `run` may be called from several threads. A context manager.

    Args:
        job: of the batch, with the worker's own server.

    Raises:
        ConfigError: The configuration or an option cannot be used.
        ServerError, ResourceError: There is no server, or it does not have the model, or the device cannot be used.
    """

    def __init__(self, job: BatchJob) -> None:
        self._job = job
        self._key = job_key(job)
        self._stack = ExitStack()
        self._session = self._stack.enter_context(Session(job.settings, host_bytes=job.host_bytes, clients=job.clients))
        with self._stack.pop_all() as opening:  # closes the session after an error
            self._session.open()
            self._stack = opening.pop_all()
        self._lock = threading.Lock()
        self._failures_in_a_row = 0
        self._first_errors: list[str] | None = []  # None: a case is done

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the session; after an error, a local server is not waited for."""
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """End the session."""
        self._stack.close()

    def run(self, case: Case, attempts: int = 1, progress: ProgressCallback | None = None) -> Outcome:
        """Run one case and write its case.json.

        Args:
            case: of the job.
            attempts: how often the case has been begun, this time included.
            progress: as in `app.run`; raises Interrupted to give the case up, which then has no case.json.

        Raises:
            Interrupted: From `progress`.
            ServerError, ResourceError: The server or the machine failed twice in a row.
            ConfigError, ModelError: The first cases failed with the same error, which is not about the cases.

        If it raises, the case has no case.json.
        """
        folder, began, begun_ns = self._job.case_folder(case), time.perf_counter(), time.time_ns()
        with case_in_log(case.id):
            inputs = look_at_inputs(case)
            try:
                moved = prepare(folder)
                result = self._session.run(self._job.case_settings(case), progress)
                outcome = _done(case, result, attempts, time.perf_counter() - began)
                record = done_record(case, self._key, outcome, inputs, _files(result), folder, begun_ns)
                _write(folder, record)
                remove_earlier(folder, [*moved, *record["files"]])
            except (Interrupted, KeyboardInterrupt):
                raise
            except Exception as error:
                return self._fail(case, error, inputs, attempts, time.perf_counter() - began)
            with self._lock:
                self._failures_in_a_row, self._first_errors = 0, None
            log.info("done in %.1f s", outcome.seconds)
        return outcome

    def _fail(self, case: Case, error: Exception, inputs: list[Look], attempts: int, seconds: float) -> Outcome:
        kind, line, known = kind_of(error), line_of(error), known_error(error)
        if case.series is not None:
            line = line.replace(case.series, "the case's series")  # a UID identifies a patient
        if self._stops(kind, line) and known is not None:
            raise known from error
        log.warning("failed: %s", line, exc_info=error if kind == "unexpected" else None)
        outcome = Outcome(
            case.id,
            "failed",
            error=line,
            exit_code=exit_code_of(error),
            kind=kind,
            seconds=round(seconds, 3),
            attempts=attempts,
        )
        try:
            _write(self._job.case_folder(case), failed_record(case, self._key, outcome, inputs))
        except ConfigError as refusal:  # another program's file is there, or nothing can be written
            log.warning("%s", refusal)
        return outcome

    def _stops(self, kind: str, line: str) -> bool:
        """Count a failure; whether it ends the worker."""
        with self._lock:
            if kind in TRANSIENT:
                self._failures_in_a_row += 1
                return self._failures_in_a_row >= _TIMES_IN_A_ROW
            if self._first_errors is None or kind not in ("config", "model"):
                return False
            self._first_errors.append(line)
            return len(self._first_errors) >= _FIRST_ALIKE and len(set(self._first_errors)) == 1


def _done(case: Case, result: RunResult, attempts: int, seconds: float) -> Outcome:
    sections = result.data.get("labels", {})
    labels = {label: {k: v for k, v in section.items() if k != "colour"} for label, section in sections.items()}
    report = {name: result.data[name] for name in _OF_REPORT if name in result.data}
    return Outcome(case.id, "done", seconds=round(seconds, 3), labels=labels, report=report, attempts=attempts)


def _files(result: RunResult) -> list[Path]:
    """Every output of a run, without the report, which is the last run's."""
    voxels = [Path(output["raw"]) for output in result.data.get("outputs", ()) if "raw" in output]
    several = (result.label_maps, result.published, result.previews, result.dicom, result.scores, result.statistics)
    others = [path for paths in (*several, result.own) for path in paths]
    return list(dict.fromkeys([*voxels, *others, *filter(None, [result.output, result.raw, result.page])]))


def _write(folder: Path, record: dict[str, object]) -> None:
    """Write case.json unless another program's file is there. Raises ConfigError, ResourceError."""
    read_record(folder)
    try:
        write_record(folder, record)
    except OSError as error:
        raise folder_error(error, folder) from error
