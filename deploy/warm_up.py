"""Compile every kernel into a folder, for GPU_INFER_KERNELS: `warm_up.py FOLDER`, run when an image is built.

Needs no GPU. The CPU kernels are compiled by calling each operation once per dtype pair that runs meet, the CUDA
kernels by NVRTC for every supported GPU, if CuPy is installed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
from pathlib import Path

log = logging.getLogger("warm_up")

ARCHITECTURES = ("80", "86", "89", "90", "100", "120")
"""GPUs from the A100 on; kernels for another one are compiled at its first use."""


def warm_cpu() -> None:
    """Every operation of the CPU backend, on arrays of a few voxels, for the dtype pairs that runs meet."""
    from gpu_infer.backends.cpu.warm_up import all_steps, warm_up

    warm_up(lambda name, number, total: log.info("CPU kernels, %d of %d: %s", number, total, name), all_steps())


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
