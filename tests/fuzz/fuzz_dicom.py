"""DICOM series with changed bytes, cut or missing slices and odd files among them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from case_runner import change_bytes, run_cases, workplace
from dicom_series import write_slice

from gpu_infer.volume.read import read_volume

SLICES = 4


@cache
def slices() -> tuple[bytes, ...]:
    """The files of a sound series."""
    with TemporaryDirectory() as folder:
        for number in range(SLICES):
            write_slice(Path(folder) / f"{number}.dcm", number)
        return tuple((Path(folder) / f"{number}.dcm").read_bytes() for number in range(SLICES))


def make(rng: random.Random, folder: Path) -> Callable[[], object]:
    for number, content in enumerate(slices()):
        kind = rng.randrange(8)
        if kind == 0:
            continue
        if kind <= 3:
            content = change_bytes(rng, content)
        (folder / f"{number}.dcm").write_bytes(content)
    if rng.random() < 0.2:
        (folder / "odd").write_bytes(rng.choice((b"", b"DICM", b"\0" * 132, rng.randbytes(300))))
    return lambda: read_volume(folder).data.sum()


def main(seconds: float, seed: int) -> int:
    return run_cases(make, seconds, seed, workplace("dicom"))
