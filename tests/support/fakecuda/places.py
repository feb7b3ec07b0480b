"""Paths of the fake driver in an environment, and whether this process uses it."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(sys.prefix) / "fakecuda"
DRIVER = FOLDER / "libcuda.so.1"
KERNELS = FOLDER / "kernels"


def is_fake() -> bool:
    """Whether CuPy in this process runs on the fake driver."""
    return DRIVER.exists() and str(DRIVER) in Path("/proc/self/maps").read_text(encoding="utf-8")
