"""The outcome of a case with which two Dask workers were lost."""

from __future__ import annotations

import logging

from gpu_infer.batch.engines.dask_dealing import Attempt
from gpu_infer.batch.error_kinds import CRASH
from gpu_infer.batch.inputs import look_at_inputs
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import failed_record, read_record, write_record
from gpu_infer.errors import ConfigError

log = logging.getLogger(__name__)


def lost_outcome(job: BatchJob, attempt: Attempt) -> Outcome:
    """The outcome of an attempt that was the only case of its worker; its case.json is written."""
    outcome = Outcome(
        attempt.case.id,
        "crashed",
        error=f"{attempt.attempts} Dask workers were lost with this case, the last one had no other; see their logs",
        exit_code=1,
        kind=CRASH,
        attempts=attempt.attempts,
    )
    record = failed_record(attempt.case, job_key(job), outcome, look_at_inputs(attempt.case))
    folder = job.case_folder(attempt.case)
    try:
        read_record(folder)
        write_record(folder, record)
    except (OSError, ConfigError) as error:
        log.warning("%s: case.json could not be written: %s", attempt.case.id, error)
    return outcome
