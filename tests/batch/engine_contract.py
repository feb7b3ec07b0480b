"""What every engine does, on small cases with a real Triton. A test of an engine is a subclass of `EngineContract`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from batch_runs import RUN_S, BatchRun, dead_segments, ended, wait_until
from operator_helpers import regions

CASES = int(os.environ.get("BATCH_CASES", "8"))
"""BATCH_CASES=40 for a long run."""


class EngineContract:
    """Subclasses give the options that choose the engine."""

    options: ClassVar[tuple[str, ...]] = ()

    def engine_options(self, root: Path) -> tuple[str, ...]:
        """Options of the command; a subclass can start what its engine needs in a fixture of its own."""
        return self.options

    def worker_pids(self, run: BatchRun, batch: subprocess.Popen[str]) -> list[int]:
        """Processes that run cases."""
        return run.workers(batch.pid)

    def _run(self, root: Path, server: Any, count: int, model: str, *options: str) -> BatchRun:
        return BatchRun(root, server.grpc, count, model, (*self.engine_options(root), *options))

    def test_labels_are_those_of_single_runs_and_nothing_runs_twice(self, tmp_path: Path, triton_server: Any) -> None:
        run = self._run(tmp_path, triton_server, 4, "threshold_half")
        code, out, err = run.run()
        assert code == 0, err
        assert "4 done, 4 in all" in out
        run.check_labels()
        run.check_clean()
        single = ("run", "-i", str(run.source / "case02.nii.gz"), "-o", str(tmp_path / "single"))
        options = ("--config", str(run.config), "--triton", run.triton)
        subprocess.run([sys.executable, "-m", "gpu_infer", *single, *options], check=True, timeout=RUN_S)
        for name in ("case02.mhd", "case02.raw"):
            assert (run.output / "case02" / name).read_bytes() == (tmp_path / "single" / name).read_bytes()
        before = {path: path.stat().st_mtime_ns for path in run.output.glob("*/*")}
        code, out, err = run.run()
        assert code == 0, err
        assert "batch    0 run" in out
        assert {path: path.stat().st_mtime_ns for path in run.output.glob("*/*")} == before

    def test_a_broken_case_fails_alone(self, tmp_path: Path, triton_server: Any) -> None:
        run = self._run(tmp_path, triton_server, 2, "threshold_half")
        (run.source / "a_broken.nii.gz").write_bytes(b"nonsense")
        code, out, err = run.run()
        assert code == 6, err
        assert out.startswith("failed   a_broken: ")
        assert err.splitlines()[-1].startswith("gpu-infer: error: 1 of 3 cases failed, the last one with: ")
        record = run.record("a_broken")
        assert (record["status"], record["kind"], record["exit_code"], record["attempts"]) == ("failed", "input", 3, 1)
        run.check_labels()
        run.check_clean()
        assert run.run()[0] == 6
        assert run.record("a_broken") == record
        (run.source / "a_broken.nii.gz").write_bytes((run.source / "case00.nii.gz").read_bytes())
        assert run.run()[0] == 0
        assert run.record("a_broken")["status"] == "done"

    def test_a_worker_that_is_killed(self, tmp_path: Path, triton_server: Any) -> None:
        run = self._run(tmp_path, triton_server, CASES, "slow")
        batch = run.start()
        wait_until(lambda: len(run.done()) > 0)
        os.kill(self.worker_pids(run, batch)[0], signal.SIGKILL)
        code, _, err = ended(batch)
        assert code == 0, err
        run.check_labels()
        run.check_clean()
        assert regions(triton_server) == []

    def test_a_batch_that_is_killed(self, tmp_path: Path, triton_server: Any) -> None:
        run = self._run(tmp_path, triton_server, CASES, "slow")
        batch = run.start()
        wait_until(lambda: len(run.done()) > 0)
        batch.kill()
        ended(batch)
        done = {case: (run.output / case / "case.json").stat().st_mtime_ns for case in run.done()}
        code, _out, err = run.run()
        assert code == 0, err
        run.check_labels()
        run.check_clean()
        assert regions(triton_server) == []
        for case, time_ns in done.items():
            assert (run.output / case / "case.json").stat().st_mtime_ns == time_ns

    def test_a_batch_that_is_interrupted(self, tmp_path: Path, triton_server: Any) -> None:
        run = self._run(tmp_path, triton_server, CASES, "slow")
        batch = run.start()
        wait_until(lambda: len(run.done()) > 0)
        began = time.monotonic()
        batch.send_signal(signal.SIGINT)
        code, _, err = ended(batch)
        assert code == 130, err
        assert time.monotonic() - began < 12
        assert err.splitlines()[-1].startswith("gpu-infer: error: interrupted by SIGINT")
        run.check_clean()
        assert regions(triton_server) == []
        assert 0 < len(run.done()) < CASES
        status = (run.output / "status.csv").read_text().splitlines()
        assert len(status) == CASES + 1
        assert run.run()[0] == 0
        run.check_labels()

    def test_a_server_that_is_killed(self, tmp_path: Path, fresh_triton: Any) -> None:
        run = self._run(tmp_path, fresh_triton, CASES, "slow")
        batch = run.start()
        wait_until(lambda: len(run.done()) > 0)
        os.killpg(fresh_triton.pid, signal.SIGKILL)
        code, _, err = ended(batch)
        assert code == 4, err
        assert len(run.done()) < CASES
        fresh_triton.stop()
        fresh_triton.start()
        code, _, err = run.run()
        assert code == 0, err
        run.check_labels()
        run.check_clean()
        assert dead_segments() == []
