from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_COPY = """
import numpy as np
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.kernels.windows import gather_windows_serial
volume = np.ones((1, 2, 3, 4), np.float32)
CpuBackend().gather(volume, [(0, 0, 0)], np.zeros((1, *volume.shape), np.float32), 0.0)
print(sum(gather_windows_serial.stats.cache_hits.values()), sum(gather_windows_serial.stats.cache_misses.values()))
"""


def test_another_process_takes_the_kernel_from_the_cache(tmp_path: Path) -> None:
    """Named tuples as arguments do not keep Numba from finding what it has compiled."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    counts = [
        subprocess.run(
            [sys.executable, "-c", _COPY], env=environment, capture_output=True, encoding="utf-8", check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert counts == [["0", "1"], ["1", "0"]]
