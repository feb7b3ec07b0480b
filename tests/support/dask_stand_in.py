"""A preload of Dask workers: cases end as the text in their input says, without a server.

    ok          done at once
    slow S      done after S seconds, with a progress event every 50 ms
    die         kills its process
    die once    kills its process, unless the case was begun before
    server      ServerError: the worker stops
    config      ConfigError: the worker stops
    failed      an outcome of that status
Each run of a case appends "<begin|end|given up> <pid> <attempts>" to `<output>/<id>/log`; a session that is closed
appends its pid to `<output>/closed`.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines import dask_task
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import ConfigError, Interrupted, ServerError
from gpu_infer.progress import Progress, ProgressCallback, silent


class StandIn:
    def __init__(self, job: BatchJob) -> None:
        self._job = job

    def __exit__(self, *error: object) -> None:
        with (self._job.output / "closed").open("a") as log:
            log.write(f"{os.getpid()}\n")

    def run(self, case: Case, attempts: int = 1, progress: ProgressCallback | None = None) -> Outcome:
        log = self._job.case_folder(case) / "log"
        log.parent.mkdir(exist_ok=True)
        note(log, "begin", attempts)
        what, *values = case.inputs[0].read_text(encoding="utf-8").split()
        logging.getLogger("gpu_infer.stand_in").info("%s: %s", case.id, what)
        if what == "die" and (attempts == 1 or not values):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "server":
            raise ServerError("the server is lost", remedy="start it")
        if what == "config":
            raise ConfigError("the option is wrong", remedy="leave it out")
        if what == "slow":
            self._wait(float(values[0]), log, attempts, progress or silent)
        note(log, "end", attempts)
        failed = what == "failed"
        report = {"server": self._job.settings.triton_either, "lane": threading.current_thread().name}
        return Outcome(
            case.id,
            "failed" if failed else "done",
            error="the case is broken" if failed else None,
            exit_code=3 if failed else 0,
            kind="input" if failed else None,
            attempts=attempts,
            report=report,
        )

    def _wait(self, seconds: float, log: Path, attempts: int, progress: ProgressCallback) -> None:
        for step in range(int(seconds / 0.05)):
            time.sleep(0.05)
            try:
                progress(Progress("infer", step, int(seconds / 0.05)))
            except Interrupted:
                note(log, "given-up", attempts)
                raise


def note(log: Path, what: str, attempts: int) -> None:
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"{what} {os.getpid()} {attempts}\n")


def dask_setup(worker: Any) -> None:
    dask_task.Worker = StandIn  # type: ignore[assignment,misc]
