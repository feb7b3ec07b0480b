"""MONAI's side of bench.volume: whether it is installed, its run, and the agreement of its labels with ours."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.sides.monai_memory import DoesNotFit
from bench.sides.volume_case import Case, Shape
from gpu_infer.system.host_memory import free_host_bytes

LONG_S = 300.0
"""If the first run takes longer, it counts: a second one would add little."""
LIMIT_S = 3600.0
ROOT = Path(__file__).resolve().parents[2]


class PeerMissing(Exception):
    """A required side is not installed; the text has the reason."""


class LeftOut(Exception):
    """A side without figures for a case; the text has the reason and goes into the table."""


def why_left_out(device: str, peers: bool | None) -> str | None:
    """Why MONAI is skipped, None if it is not; PeerMissing if `peers` requires it and it is not installed."""
    if peers is False:
        return "--no-peers"
    absent = [name for name in ("monai", "torch") if find_spec(name) is None]
    why = f"not installed: {', '.join(absent)} (make peers)" if absent else None
    if why is None and device == "gpu":
        code = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 3)"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            why = "this PyTorch finds no CUDA device" if done.returncode == 3 else f"PyTorch: {_last(done.stderr)}"
    if why is not None and peers:
        raise PeerMissing(f"--peers: MONAI: {why}")
    return why


def monai_side(
    case: Case, source: Path, output: Path, device: str, url: str, roi: Shape, *, free: int | None = None
) -> tuple[dict[str, Any], Path]:
    """As `bench.sides.volume_operator.operator_side`, the labels as .nii; LeftOut if it does not fit or fails.

    free  free bytes of the host; None measures them
    """
    output.mkdir()
    before = free_host_bytes() if free is None else free
    command = [sys.executable, "-W", "ignore", "-m", "bench.sides.volume_monai", "--input", source, "--output", output]
    command += ["--grpc", url, "--model", case.model, "--device", "cuda" if device == "gpu" else "cpu"]
    command += ["--roi", *roi, "--long", LONG_S]
    if case.spacing is not None:
        command += ["--spacing", *case.spacing]
    if free is not None:
        command += ["--free", free]
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LeftOut(f"not done within {LIMIT_S:.0f} s") from None
    facts = read_answer(done, before)
    return facts, Path(facts.pop("labels"))


def read_answer(done: subprocess.CompletedProcess[str], free: int) -> dict[str, Any]:
    """What the side's process printed; LeftOut for anything but figures. A SIGKILL is the kernel's, out of memory."""
    if done.returncode == -signal.SIGKILL:
        raise LeftOut(str(DoesNotFit("host", None, free)))
    if done.returncode < 0:
        raise LeftOut(f"ended by {signal.Signals(-done.returncode).name}: {_last(done.stderr)}")
    if done.returncode:
        raise LeftOut(f"failed: {_last(done.stderr)}")
    facts: dict[str, Any] = json.loads(_last(done.stdout))
    if "does_not_fit" in facts:
        raise LeftOut(str(DoesNotFit(**facts["does_not_fit"])))
    return facts


def agreement(ours: Path, theirs: Path, shape: Shape) -> dict[str, float]:
    """Share of voxels with equal labels, and Dice of all that is not background, plane by plane.

    ours    .mhd whose .raw holds uint8 labels of `shape` (I, J, K), I fastest      theirs  .nii of the same grid
    """
    import nibabel

    other = nibabel.load(theirs).dataobj
    if other.shape != shape:
        raise ValueError(f"{theirs.name} has {other.shape} voxels, {ours.name} {shape}")
    mine: NDArray[np.uint8] = np.memmap(ours.with_suffix(".raw"), np.uint8, "r", shape=shape, order="F")
    equal = both = either = 0
    for k in range(shape[2]):
        a, b = mine[..., k], np.asarray(other[..., k])
        equal += int(np.count_nonzero(a == b))
        both += int(np.count_nonzero((a > 0) & (b > 0)))
        either += int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return {"equal_share": round(equal / mine.size, 6), "dice": round(2 * both / either, 6) if either else 1.0}


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "without a word"
