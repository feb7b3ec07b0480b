"""Compressed NIfTI files: cut, changed, with several members, with zeros after the voxels."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from case_runner import change_bytes, run_cases, workplace

from gpu_infer.volume.read import read_volume


def make(rng: random.Random, folder: Path) -> Callable[[], object]:
    image = nib.Nifti1Image(np.arange(24000, dtype=np.int16).reshape(20, 30, 40), np.diag([0.7, 0.8, 3, 1]))
    content = image.to_bytes()
    if rng.random() < 0.3:
        content = change_bytes(rng, content)
    match rng.randrange(5):
        case 0:
            packed = gzip.compress(content, rng.randrange(10))
        case 1:
            at = rng.randrange(1, len(content))
            packed = gzip.compress(content[:at]) + gzip.compress(content[at:])
        case 2:
            packed = gzip.compress(content) + gzip.compress(bytes(rng.choice((1, 1000, 32 << 20))))
        case 3:
            packed = gzip.compress(content) + rng.randbytes(rng.choice((1, 8, 500)))
        case _:
            packed = zlib.compress(content)
    path = folder / "a.nii.gz"
    path.write_bytes(change_bytes(rng, packed) if rng.random() < 0.6 else packed)
    return lambda: read_volume(path).data.sum()


def main(seconds: float, seed: int) -> int:
    return run_cases(make, seconds, seed, workplace("gzip"))
