"""Small batches for tests: their cases, the real command over them, and what is on the disk at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from operator_helpers import config, write_config, write_nifti

from gpu_infer.triton.shm.naming import SHM_FOLDER, owner_pid

RUN_S = 120
_MARK = "BATCH_OF_TEST"
"""Variable by which a test finds the workers of its batch."""


class BatchRun:
    """A folder of cases, and the command that runs them.

    Args:
        root: of all files.
        triton: host:port.
        count: cases, of which each has another size.
        model: of tests/models, one that makes 1 where x > 0.5.
        options: further options of the command.
    """

    def __init__(self, root: Path, triton: str, count: int, model: str, options: Sequence[str] = ()) -> None:
        self.root, self.source, self.output = root, root / "scans", root / "out"
        self.labels: dict[str, Any] = {}
        for n in range(count):
            data = np.random.default_rng(n).random((8, 8, 8 + n % 4)).astype(np.float32)
            write_nifti(self.source / f"case{n:02}.nii.gz", data, np.eye(4))
            self.labels[f"case{n:02}"] = data > 0.5
        self.config = write_config(root / "config", config(model, roi_size=[8, 8, 8]))
        self.triton = triton
        self.options = tuple(options)

    def command(self, *options: str) -> tuple[str, ...]:
        return (
            *(sys.executable, "-m", "gpu_infer", "batch", "-i", str(self.source), "-o", str(self.output)),
            *("--config", str(self.config), "--triton", self.triton, "--wait", "3", *self.options, *options),
        )

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, _MARK: str(self.root)},
        )

    def run(self, *options: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        return ended(self.start(*options))

    def record(self, case: str) -> dict[str, Any]:
        """Content of a case.json."""
        content: dict[str, Any] = json.loads((self.output / case / "case.json").read_text())
        return content

    def done(self) -> list[str]:
        """Cases whose case.json is there and says that they are done."""
        cases = sorted(path.parent.name for path in self.output.glob("*/case.json"))
        return [case for case in cases if self.record(case)["status"] == "done"]

    def check_labels(self) -> None:
        """Each case is done, with its labels."""
        assert self.done() == sorted(self.labels)
        for case, labels in self.labels.items():
            image = sitk.ReadImage(str(self.output / case / f"{case}.mhd"))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), labels)

    def check_clean(self) -> None:
        """No temporary file, no lock, no segment of a dead process, no worker."""
        wait_until(lambda: not self.workers(), 15)
        hidden = [path for path in self.output.rglob("*") if path.name.startswith(".")]
        assert hidden == [], hidden
        assert dead_segments() == [], dead_segments()

    def workers(self, parent: int | None = None) -> list[int]:
        """Processes of workers of this batch, or of those that `parent` has started."""
        pids = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and (parent is None or _parent(process) == parent):
                try:
                    command = (process / "cmdline").read_bytes()
                    variables = (process / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"batch.engines.child" in command and f"{_MARK}={self.root}".encode() in variables:
                    pids.append(int(process.name))
        return sorted(pids)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process, after its end."""
    out, err = process.communicate(timeout=RUN_S)
    return process.returncode, out, err


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def dead_segments() -> list[str]:
    """Segments whose process has ended."""
    pids = {path.name: owner_pid(path.name) for path in SHM_FOLDER.glob("gpu_infer-*")}
    return sorted(name for name, pid in pids.items() if pid is not None and not Path(f"/proc/{pid}").exists())


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
