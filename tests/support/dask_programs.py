"""A Dask scheduler and its workers as the programs that users start, on the loopback address."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_S = 60.0
_LOOPBACK = ["--host", "127.0.0.1"]


class DaskPrograms:
    """`scheduler` is the scheduler's file. Each worker is one process, without a nanny unless it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.scheduler = folder / "scheduler.json"
        self._folder = folder
        self._scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_scheduler(self) -> None:
        self.scheduler.unlink(missing_ok=True)
        self._scheduler = self._start(
            "scheduler", "--port", "0", "--scheduler-file", str(self.scheduler), "--no-dashboard"
        )
        self._await(self._is_listening)

    def start_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker process; `--nanny` among the options replaces it when it dies."""
        program = ["worker", "--scheduler-file", str(self.scheduler), "--nthreads", "1", "--no-dashboard"]
        if "--nanny" not in options:
            program.append("--no-nanny")
        worker = self._start(*program, "--memory-limit", "0", "--local-directory", str(self._folder), *options)
        self.workers.append(worker)
        return worker

    def await_workers(self, count: int) -> None:
        """Wait until `count` workers, of all that were started, have reached their scheduler."""
        self._await(lambda: self.log().count("Registered to:") >= count)

    def kill_scheduler(self) -> None:
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()

    def stop(self) -> None:
        """End the workers, then the scheduler, without which workers do not end for a while."""
        for programs in (self.workers, [self._scheduler] if self._scheduler else []):
            for program in programs:
                program.send_signal(signal.SIGTERM)
            for program in programs:
                try:
                    program.wait(10)
                except subprocess.TimeoutExpired:
                    program.kill()
                    program.wait()

    def log(self) -> str:
        """What all programs have written."""
        return "".join(
            path.read_text(errors="replace", encoding="utf-8") for path in sorted(self._folder.glob("*.log"))
        )

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", program, *_LOOPBACK, *options]
        with (self._folder / f"{program}-{len(self.workers)}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, env=environment())

    def _is_listening(self) -> bool:
        try:
            return "address" in json.loads(self.scheduler.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False

    def _await(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)


def environment() -> dict[str, str]:
    """Variables of the programs: helpers of the tests can be imported there."""
    support = Path(__file__).parent
    return {**os.environ, "PYTHONPATH": f"{support}{os.pathsep}{support.parent}", "OMP_WAIT_POLICY": "passive"}


@contextmanager
def dask_programs(folder: Path, workers: int = 1) -> Iterator[DaskPrograms]:
    """A scheduler with workers."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = DaskPrograms(folder)
    try:
        programs.start_scheduler()
        for _ in range(workers):
            programs.start_worker()
        programs.await_workers(workers)
        yield programs
    finally:
        programs.stop()
