"""nnU-Net's sides of bench.batch: whether it is installed, its command, and what the result says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib

from bench.sides.volume_peer import agreement

NNUNET = {"nnU-Net, 3 + 3 processes": 3, "nnU-Net, 1 + 1 processes": 1, "nnU-Net, sequential": 0}
"""Sides, and the processes of each that read and that write. 3 is the default of nnU-Net's command line."""


def missing_note() -> str | None:
    """One sentence if nnU-Net's predictor cannot be imported."""
    code = "from bench.sides.batch_nnunet import make_predictor; make_predictor([1.0] * 3, [8] * 3)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return f"nnU-Net is skipped (make peers): {lines[-1] if lines else f'exit code {done.returncode}'}."


def nnunet_command(side: str, inputs: Sequence[Path], output: Path, roi: Sequence[int]) -> list[str]:
    """The command of one of `NNUNET`."""
    options = ["--output", str(output), "--roi", *map(str, roi), "--processes", str(NNUNET[side])]
    return [sys.executable, "-W", "ignore", "-m", "bench.sides.batch_nnunet", *map(str, inputs), *options]


def fastest(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The side of `NNUNET` whose first run took the least time."""
    return min(NNUNET, key=lambda side: measured[side][0]["seconds"])


def nnunet_notes(ours: Path, theirs: Sequence[Path], inputs: Sequence[Path]) -> list[str]:
    """Sentences about the windows of both and their labels.

    ours    folder of the outputs of gpu_infer, `<name of the input>/<name of the input>.mhd`
    theirs  folder of the outputs of each side of `NNUNET`, `<name of the input>.nii`
    """
    windows = json.loads((ours / inputs[0].stem / "report.json").read_text(encoding="utf-8"))["tiles"]["windows"]
    facts = [json.loads((folder / "facts.json").read_text(encoding="utf-8")) for folder in theirs]
    shares = [
        agreement(ours / path.stem / f"{path.stem}.mhd", folder / path.name, nib.load(path).shape)["equal_share"]
        for folder in theirs
        for path in inputs
    ]
    return [
        f"Windows per volume: {windows} of gpu_infer, {facts[0]['windows']:.0f} of nnU-Net, all of the same weight.",
        "nnU-Net's network runs in its process, without a server; its sums are float16, nothing is normalised, "
        "resampled or mirrored. Its search for the box of what is not zero, in every volume, is part of its time.",
        f"Share of voxels with equal labels in gpu_infer and nnU-Net: at least {min(shares):.6f} of each volume.",
    ]
