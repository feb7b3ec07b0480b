"""Whole runs with publish folder and preview, killed at random moments from their start to their end.

python tests/support/killed_runs.py FOLDER --moments 200 --seed 1 starts a Triton of its own and prints one JSON line
with what went wrong. Every other run publishes into the input's own folder; every third one has older results.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from operator_helpers import config, write_config, write_nifti

from gpu_infer.triton.local.serve import LocalServer

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
MODELS = Path(__file__).parents[1] / "models"
RUN_S = 120


class Run:
    """Folders of one run and the command over them."""

    def __init__(self, root: Path, triton: str, *, into_input: bool) -> None:
        self.output, self.logs = root / "output", root / "logs"
        self.publish = root / "input" if into_input else root / "publish"
        data = np.random.default_rng(5).random((40, 36, 32)).astype(np.float32)
        self.input = write_nifti(root / "input/case.nii.gz", data, np.eye(4))
        self.content = (self.input.read_bytes(), self.input.stat().st_ino)
        self.labels = data > 0.5
        path = write_config(root / "config", config("threshold_half", roi_size=[16, 16, 16]))
        self.folders = (
            *("--output", str(self.output), "--publish", str(self.publish)),
            *("--triton", triton, "--config", str(path), "--wait", "20"),
        )
        self.command = (
            *(sys.executable, "-m", "gpu_infer", "run", "--input", str(self.input), "--logs", str(self.logs)),
            *("--preview", "--deadline", "30", *self.folders),
        )

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        )

    def check(self) -> list[str]:
        """What is wrong: the input is as it was, and every header has its voxels."""
        wrong = []
        if (self.input.read_bytes(), self.input.stat().st_ino) != self.content:
            wrong.append("the input is another file")
        headers = [path for path in (self.output / "case.mhd", self.publish / "case.out.mhd") if path.exists()]
        return wrong + [f"{path}: other labels" for path in headers if not np.array_equal(read(path), self.labels)]

    def check_cleaned(self, older: set[str]) -> list[str]:
        """What is wrong after `doctor --clean`: nothing but complete sets of files, and no fewer than before."""
        command = (sys.executable, "-m", "gpu_infer", "doctor", "--clean", *self.folders)
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=RUN_S)
        wrong = self.check()
        if done.returncode != 0:
            wrong.append(f"doctor: {done.stdout[-500:]} {done.stderr[-500:]}")
        files = self.files() - {"input/case.nii.gz"}
        published = ("case.mhd", "case.raw", "case.out.mhd", "case.out.raw", "config.meta", "config_render.json")
        copy = {"publish/case.nii.gz"} if self.publish != self.input.parent else set()
        for group in (
            {"output/case.mhd", "output/case.raw"},
            {"output/case.preview.png"},
            {f"{self.publish.name}/{name}" for name in published} | copy,
            {f"{self.publish.name}/{name}" for name in ("index.html", "niivue.umd.js", "niivue.LICENSE.txt")},
        ):
            if (present := files & group) and present != group:
                wrong.append(f"incomplete: {sorted(present)}")
            files -= group
        if files:
            wrong.append(f"left: {sorted(files)}")
        if lost := older - self.files():
            wrong.append(f"lost: {sorted(lost)}")
        return wrong

    def files(self) -> set[str]:
        folders = {self.output, self.publish, self.input.parent}
        return {f"{f.name}/{p.name}" for f in folders if f.is_dir() for p in f.iterdir()}


def read(header: Path) -> Any:
    """[I, J, K]"""
    return sitk.GetArrayFromImage(sitk.ReadImage(header)).transpose(2, 1, 0)


def kill_runs(root: Path, triton: str, moments: int, seed: int) -> dict[str, Any]:
    """How runs ended, by signal and code, and what was wrong after which."""
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    reference = Run(root / "reference", triton, into_input=False)
    reference.start().wait(RUN_S)  # fills caches
    began = time.perf_counter()
    assert reference.start().wait(RUN_S) == 0
    usual = time.perf_counter() - began
    for turn in range(moments):
        run = Run(root / str(turn), triton, into_input=turn % 2 == 1)
        if turn % 3 == 0:
            assert run.start().wait(RUN_S) == 0
        older = run.files()
        number, delay = chance.choice(SIGNALS), chance.uniform(0.1, 1.1) * usual
        process = run.start()
        try:
            code = process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            code = process.wait(RUN_S)
        ends[f"{number.name} {code}"] += 1
        problems = run.check() + run.check_cleaned(older)
        wrong += [f"moment {turn} ({number.name} after {delay:.2f} s, code {code}): {problem}" for problem in problems]
        shutil.rmtree(root / str(turn))
    return {"moments": moments, "seconds of a run": round(usual, 2), "ends": dict(sorted(ends.items())), "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with LocalServer(MODELS) as server:
        result = kill_runs(options.folder, server.grpc, options.moments, options.seed)
    sys.stdout.write(json.dumps(result) + "\n")
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
