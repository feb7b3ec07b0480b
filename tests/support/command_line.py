"""`gpu-infer` in a process of its own."""

from __future__ import annotations

import subprocess
import sys


def run_gpu_infer(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m gpu_infer` with these arguments and no environment but this."""
    return subprocess.run(
        [sys.executable, "-m", "gpu_infer", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
