"""Does a session of many cases grow? `python -m bench.session [--cases 500]`.

Small volumes, three lanes, one session. Every 50 cases: resident memory, threads, open files, shared memory of this
process. Growth after the first 100 cases would be a leak.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bench.batch import config_of
from bench.support.addresses import Addresses
from bench.support.output import RESULTS, Result, add_results, mebibytes
from bench.support.served import served
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.planning.free_memory import resident_bytes
from gpu_infer.session.session import Session
from gpu_infer.settings import Settings

EVERY = 50


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.session", description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--lanes", type=int, default=3)
    parser.add_argument("--side", type=int, default=64, help="voxels of a volume along each axis")
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.cases, arguments.lanes, arguments.side, arguments.results)


def run(cases: int, lanes: int, side: int, results: Path = RESULTS) -> None:
    """Measure and publish session.json."""
    columns = ["cases", "seconds", "resident", "threads", "open files", "shared memory"]
    result = Result("session", f"A session of {cases} cases of {side}³, {lanes} lanes", columns)
    with tempfile.TemporaryDirectory() as scratch, served(CpuBackend()) as (server, _):
        root = Path(scratch)
        voxels = np.random.default_rng(1).integers(-1, 3, (side, side, side)).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / "case.nii")
        (root / "config_inference.json").write_text(json.dumps(config_of("half", (32, 32, 32))), encoding="utf-8")
        settings = Settings.from_environment(
            {},
            **Addresses.of(server).settings(),
            input=root / "case.nii",
            output=root / "out",
            config=root,
            device="cpu",
        )
        began = time.perf_counter()
        with Session(settings) as session:
            for done in _groups(session, settings, cases, lanes):
                now = [str(done), f"{time.perf_counter() - began:.1f}", mebibytes(resident_bytes())]
                result.rows.append([*now, str(threading.active_count()), str(_open_files()), mebibytes(_segments())])
    result.publish(results)


def _groups(session: Session, settings: Settings, cases: int, lanes: int) -> Iterator[int]:
    """Run the cases, and yield their number so far after every `EVERY`."""
    with ThreadPoolExecutor(lanes) as pool:
        for first in range(0, cases, EVERY):
            numbers = range(first, min(first + EVERY, cases))
            folders = [settings.output / f"{n % (4 * lanes)}" for n in numbers]
            list(pool.map(lambda folder: session.run(replace(settings, output=folder, logs=folder)), folders))
            yield numbers[-1] + 1


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _segments() -> int:
    return sum(path.stat().st_size for path in Path("/dev/shm").glob(f"gpu_infer-{os.getpid()}-*"))


if __name__ == "__main__":
    main()
