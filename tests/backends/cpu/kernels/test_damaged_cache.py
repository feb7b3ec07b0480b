"""Files of compiled kernels that are damaged: the kernels are compiled again, and the files replaced."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import logging
logging.basicConfig(format="%(message)s", level="WARNING")
import numpy as np
from gpu_infer import zoom
values = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
print(float(zoom(values, 2, order=1, mode="nearest").sum()))
"""
SUM = "16128.0"  # 512 values whose mean is 31.5


def _run(cache: Path) -> tuple[str, str]:
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("kernels")
    assert _run(cache)[0] == SUM
    return cache


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "an index without its end": ("nbi", lambda content: content[: len(content) // 2]),
    "code without its end": ("nbc", lambda content: content[: len(content) // 2]),
    "empty code": ("nbc", lambda content: b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_replaced(compiled: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "kernels"
    shutil.copytree(compiled, cache)
    suffix, change = DAMAGE[damage]
    for path in cache.rglob(f"*.{suffix}"):
        path.write_bytes(change(path.read_bytes()))
    total, log = _run(cache)
    assert total == SUM
    assert "damaged" in log
    assert "compiled again" in log
    assert _run(cache) == (SUM, "")
