"""Runs the operator with a GPU that needs no time: the rest is the host's work, and time outside of stages.

    FAKECUDA_MODE=null python tests/support/fakecuda/host_profile.py FOLDER

Prints one JSON report a line, one for each run of the same case in this process, by a local Triton with one model.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS / "support"))

from operator_helpers import config, operate, write_nifti  # noqa: E402

from gpu_infer.triton.local.serve import LocalServer  # noqa: E402

MODEL = "threshold_half"
SHAPE = (512, 512, 300)
SPACING_MM = (0.75, 0.75, 1.25)  # 384×384×375 voxels at 1 mm
WINDOW = (160, 160, 96)
RUNS = 4


def main(folder: Path) -> None:
    shutil.copytree(TESTS / "models" / MODEL, folder / "models" / MODEL, ignore=shutil.ignore_patterns("__pycache__"))
    # compressed, so that the hash of the file, which a report waits for, is there long before the end
    write_nifti(folder / "input/case.nii.gz", np.zeros(SHAPE, np.int16), np.diag([*SPACING_MM, 1.0]))
    chosen = config(MODEL, resolution=(1.0, 1.0, 1.0), roi_size=list(WINDOW))
    with LocalServer(folder / "models") as server:
        for _ in range(RUNS):
            report = operate(folder, server, chosen, device="gpu", require="cuda_shm").data
            print(json.dumps(report, default=str), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
