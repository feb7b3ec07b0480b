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


def _garbled(content: bytes) -> bytes:
    """Still a pickle; machine code that crashes, or computes something else."""
    begin, end = len(content) // 3, len(content) // 2
    return content[:begin] + bytes(byte ^ 0x55 for byte in content[begin:end]) + content[end:]


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "code without its end": ("nbc", lambda content: content[: len(content) // 2]),
    "empty code": ("nbc", lambda content: b""),
    "other bytes in the midst": ("nbc", _garbled),
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


@pytest.mark.parametrize("change", [lambda content: content[: len(content) // 2], lambda content: b"", _garbled])
def test_a_damaged_index_does_not_matter(compiled: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    cache = tmp_path / "kernels"
    shutil.copytree(compiled, cache)
    for path in cache.rglob("*.nbi"):
        path.write_bytes(change(path.read_bytes()))
    assert _run(cache) == (SUM, "")


def test_files_of_other_kernels_are_not_run(compiled: Path, tmp_path: Path) -> None:
    """Each file of code has the content of the next one."""
    cache = tmp_path / "kernels"
    shutil.copytree(compiled, cache)
    paths = sorted(cache.rglob("*.nbc"))
    contents = [path.read_bytes() for path in paths]
    assert len(paths) > 1
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)
    total, log = _run(cache)
    assert total == SUM
    assert "damaged" in log
    assert _run(cache) == (SUM, "")


@pytest.mark.parametrize("suffix", ["nbc", "nbi"])
def test_files_that_can_be_neither_read_nor_replaced(compiled: Path, tmp_path: Path, suffix: str) -> None:
    """Folders are in their place; root may read and replace every file."""
    cache = tmp_path / "kernels"
    shutil.copytree(compiled, cache)
    for path in cache.rglob(f"*.{suffix}"):
        path.unlink()
        path.mkdir()
    for _ in range(2):
        total, log = _run(cache)
        assert total == SUM
        assert ("cannot be written (Is a directory): its kernel is not kept" in log) == (suffix == "nbc")


def test_two_processes_compile_at_once_on_an_empty_cache(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        out, log = process.communicate(timeout=500)
        assert (out.decode().strip(), log) == (SUM, b"")
    assert not list(tmp_path.rglob("*.tmp.*"))
    program = "from gpu_infer.backends.cpu.kernels.machine_code import cached_only\nwith cached_only():"
    zoomed = PROGRAM.replace("\n", "\n    ")
    done = subprocess.run([sys.executable, "-c", program + zoomed], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == SUM  # everything is in the cache
