"""Several processes write label maps of one name at the same moment, in many rounds.

python tests/support/rival_writers.py FOLDER --writers 8 --rounds 500: prints one JSON line with all failures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.synchronize
import random
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from gpu_infer.choices import Format
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.header_fields import read_fields
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

TIMEOUT_S = 120
FORMATS: tuple[Format, ...] = ("mhd", "nii.gz")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--fields", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = race(options.folder, options.writers, options.rounds, options.fields, options.seed)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def race(folder: Path, writers: int, rounds: int, fields: int, seed: int) -> dict[str, Any]:
    """Count rounds, list mixtures (header of one writer, voxels of another), errors of writers and leftover files."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(writers + 1)
    errors = context.SimpleQueue()
    processes = [
        context.Process(target=write, args=(number, folder, rounds, fields, seed, barrier, errors))
        for number in range(1, writers + 1)
    ]
    for process in processes:
        process.start()
    mixtures = []
    for turn in range(rounds):
        barrier.wait(TIMEOUT_S)
        barrier.wait(TIMEOUT_S)
        if wrong := check(folder, writers, fields):
            mixtures.append(f"round {turn}: {wrong}")
    for process in processes:
        process.join(TIMEOUT_S)
    raised = []
    while not errors.empty():
        raised.append(errors.get())
    leftovers = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    return {"rounds": rounds, "writers": writers, "mixtures": mixtures, "errors": raised, "leftovers": leftovers}


def write(
    number: int,
    folder: Path,
    rounds: int,
    fields: int,
    seed: int,
    barrier: multiprocessing.synchronize.Barrier,
    errors: Any,
) -> None:
    """Writer `number` writes `number` into every voxel of a grid with `number` slices."""
    chance = random.Random(1000 * seed + number)
    maps = {f"f{n}": LabelMap(np.full((5, 4, number), number, np.uint8), "uint8", FORMATS) for n in range(fields)}
    for _ in range(rounds):
        barrier.wait(TIMEOUT_S)
        time.sleep(chance.random() * 0.004)
        try:
            write_label_maps(maps, Geometry((5, 4, number), np.eye(4)), folder, "ct")
        except Exception as error:
            errors.put(repr(error))
        barrier.wait(TIMEOUT_S)


def check(folder: Path, writers: int, fields: int) -> str | None:
    """Describe what is wrong with the output of a round; None if it is right."""
    winners = set()
    for name in ["ct"] if fields == 1 else [f"ct.f{n}" for n in range(fields)]:
        header = read_fields(folder / f"{name}.mhd")
        assert header is not None
        slices = int(header["DimSize"].split()[2])
        voxels = (folder / header["ElementDataFile"]).read_bytes()
        if voxels != bytes([slices]) * (20 * slices):
            return f"{name}: header of writer {slices}, {len(voxels)} voxels of {sorted(set(voxels))}"
        packed = np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj)
        if packed.shape != (5, 4, slices) or not (packed == slices).all():
            return f"{name}.nii.gz: {packed.shape} of {np.unique(packed)}, the .mhd of writer {slices}"
        winners.add(slices)
    return f"maps of writers {sorted(winners)}" if len(winners) > 1 or not winners <= {*range(1, writers + 1)} else None


if __name__ == "__main__":
    sys.exit(main())
