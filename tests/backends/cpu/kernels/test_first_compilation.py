"""The first process that compiles kernels logs and counts them; a process that reads it from the cache does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
import numpy as np
from gpu_infer import zoom
zoom(np.zeros((4, 4, 4), np.float32), 2, order=1, mode="nearest")
zoom(np.zeros((4, 4, 4), np.float64), 2, order=1, mode="nearest")
"""


def _log(cache: Path) -> list[str]:
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, encoding="utf-8", timeout=300, check=True
    )
    return [line for line in done.stderr.splitlines() if "compiling" in line]


def test_compilation_is_logged_once(tmp_path: Path) -> None:
    assert _log(tmp_path) == ["compiling kernel 1 (once): resample", "compiling kernel 2 (once): interpolate"]
    assert _log(tmp_path) == []
