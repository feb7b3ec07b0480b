"""Compile every kernel into a folder, for GPU_INFER_KERNELS: `warm_up.py FOLDER`, run when an image is built.

Needs no GPU. The CPU kernels are compiled by calling each operation once per dtype pair that a run can meet, the CUDA
kernels by NVRTC for every supported GPU, if CuPy is installed.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import sys
import time
from pathlib import Path

import numpy as np

log = logging.getLogger("warm_up")

ARCHITECTURES = ("80", "86", "89", "90", "100", "120")
"""GPUs from the A100 on; kernels for another one are compiled at its first use."""

N = 4
SHAPE = (N, N, N)
ORIGIN = (0, 0, 0)


def warm_cpu() -> None:
    """Every operation of the CPU backend, on arrays of a few voxels, for every dtype pair of a run."""
    from gpu_infer.backends import dtypes
    from gpu_infer.backends.cpu.backend import CpuBackend
    from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table
    from gpu_infer.backends.tables import ClampedAffine
    from gpu_infer.backends.types import RollingSums

    cpu = CpuBackend()
    same = ClampedAffine()
    linear = (linear_table(N, N + 1),) * 3
    nearest = (nearest_table(N, N + 1),) * 3
    larger = (N + 1,) * 3
    for stored, model in itertools.product(dtypes.STORED, dtypes.MODEL):
        source = np.zeros((1, *SHAPE), stored)
        turned = source.transpose(0, 3, 2, 1)[:, ::-1]
        for view in (source, turned):
            cpu.resample(view, np.zeros((1, *SHAPE), model), None, same, same)
            cpu.resample(view, np.zeros((1, *larger), model), linear, same, same)
            cpu.resample(view, np.zeros((1, *larger), model), nearest, same, same)
    for model in dtypes.MODEL:
        volume = np.zeros((1, *SHAPE), model)
        slot = np.zeros((1, 1, *SHAPE), model)
        cpu.gather(volume, [ORIGIN], slot, 0.0)
        for importance, weights in itertools.product((None, np.ones(SHAPE, np.float32)), repeat=2):
            rolling = RollingSums(np.zeros((1, *SHAPE), np.float32), SHAPE, weights)
            cpu.blend(slot, [ORIGIN], [1], importance, rolling)
            counts, threshold = [np.ones(N, np.float32)] * 3, np.zeros(1, np.float32)
            cpu.finish_scores(rolling, ORIGIN, SHAPE, counts, np.zeros((1, *SHAPE), np.float32))
            cpu.finish_masks(rolling, ORIGIN, SHAPE, counts, threshold, np.zeros((1, *SHAPE), np.uint8))
    for label in dtypes.LABELS:
        labels = np.zeros(SHAPE, label)
        rolling = RollingSums(np.zeros((2, *SHAPE), np.float32), SHAPE)
        cpu.finish_argmax(rolling, ORIGIN, SHAPE, labels)
        cpu.argmax(rolling.sums, labels)
        cpu.restore_argmax(rolling.sums, linear, np.zeros(larger, label))
        cpu.histogram(labels)
        cpu.lookup(labels[None], np.zeros(np.iinfo(label).max + 1, np.uint8), np.zeros((1, *SHAPE), np.uint8))
        for out in dtypes.LABELS[dtypes.LABELS.index(label) :]:
            cpu.resample_labels(labels, (identity_table(N),) * 3, np.zeros(SHAPE, out))
            cpu.resample_labels(labels, nearest, np.zeros(larger, out))
        for stored in dtypes.STORED:
            cpu.label_statistics(np.ones(SHAPE, label), np.zeros(SHAPE, stored), [1])


def numba_folder(folder: Path) -> Path:
    """Create the folder of the CPU kernels, readable for every user: gpu_infer would create it for this one alone."""
    path = folder / "numba"
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def main(folder: Path) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.monotonic()
    warm_cpu()
    log.info("CPU kernels compiled in %.0f s", time.monotonic() - started)
    if importlib.util.find_spec("cupy") is None:
        log.info("no CuPy here: no CUDA kernels to compile")
        return 0
    from gpu_infer.backends.gpu.compile.modules import precompile

    started = time.monotonic()
    paths = precompile(ARCHITECTURES, folder)
    log.info("%d CUDA modules compiled in %.0f s", len(paths), time.monotonic() - started)
    return 0


if __name__ == "__main__":
    os.environ["NUMBA_CACHE_DIR"] = str(numba_folder(Path(sys.argv[1])))  # before Numba is imported
    sys.exit(main(Path(sys.argv[1])))
