"""The contract of engines on a Dask cluster of two workers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_runs import BatchRun, ended, wait_until
from dask_programs import DaskPrograms, dask_programs
from engine_contract import CASES, EngineContract
from operator_helpers import regions

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


class TestDaskEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def cluster(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with dask_programs(tmp_path_factory.mktemp("dask"), workers=2) as programs:
            self.dask: DaskPrograms = programs
            yield

    def engine_options(self, root: Path) -> tuple[str, ...]:
        return ("--scheduler", str(self.dask.scheduler), "--lanes", "2")

    def worker_pids(self, run: BatchRun, batch: subprocess.Popen[str]) -> list[int]:
        return [worker.pid for worker in self.dask.workers]

    def test_a_scheduler_that_is_killed(self, tmp_path: Path, triton_server: Any) -> None:
        run = BatchRun(tmp_path, triton_server.grpc, CASES, "slow", self.engine_options(tmp_path))
        batch = run.start()
        wait_until(lambda: len(run.done()) > 0)
        self.dask.kill_scheduler()
        code, _, err = ended(batch)
        assert code == 4, err
        assert err.splitlines()[-1].startswith("gpu-infer: error: the connection to the Dask scheduler was lost (")
        for worker in self.dask.workers:
            worker.wait(30)
        run.check_clean()
        assert regions(triton_server) == []
        done = {case: (run.output / case / "case.json").stat().st_mtime_ns for case in run.done()}
        self.dask.start_scheduler()
        self.dask.start_worker()
        self.dask.await_workers(3)
        code, _, err = run.run()
        assert code == 0, err
        run.check_labels()
        run.check_clean()
        for case, time_ns in done.items():
            assert (run.output / case / "case.json").stat().st_mtime_ns == time_ns
