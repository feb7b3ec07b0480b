"""The contract of engines on a Dask cluster of two workers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_runs import BatchRun
from dask_programs import DaskPrograms, dask_programs
from engine_contract import EngineContract

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
