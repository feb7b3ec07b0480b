"""What a batch says about a worker process that died, and about the case that ended it."""

from __future__ import annotations

import logging
import signal

from gpu_infer.batch.case import Case
from gpu_infer.batch.error_kinds import CRASH
from gpu_infer.batch.inputs import look_at_inputs
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import failed_record, read_record, write_record
from gpu_infer.errors import ConfigError

log = logging.getLogger(__name__)


def describe_end(status: int) -> str:
    """How a process ended, from its status: negative for a signal."""
    if status >= 0:
        return f"exit code {status}"
    name = signal.Signals(-status).name if -status in list(signal.Signals) else f"signal {-status}"
    return f"{name}, most likely out of memory" if name == "SIGKILL" else name


def crash_outcome(job: BatchJob, case: Case, attempts: int, status: int) -> Outcome:
    """The outcome of a case that ended its workers; its case.json is written."""
    outcome = Outcome(
        case.id,
        "crashed",
        error=f"ended its worker {attempts} times: {describe_end(status)}",
        exit_code=128 - status if status < 0 else status or 1,
        kind=CRASH,
        attempts=attempts,
    )
    record = failed_record(case, job_key(job), outcome, look_at_inputs(case))
    try:
        read_record(job.case_folder(case))
        write_record(job.case_folder(case), record)
    except (OSError, ConfigError) as error:
        log.warning("%s: case.json could not be written: %s", case.id, error)
    return outcome
