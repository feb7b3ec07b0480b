"""The warm-up reaches every kernel, and runs of the transforms compile nothing after it. In a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).resolve().parents[2] / "support"


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    """Of `warmed_program.py`, with the kernels' cache of all tests."""
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "warmed_program.py")],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        encoding="utf-8",
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_every_kernel_is_compiled(answer: dict[str, Any]) -> None:
    assert len(answer["entries"]) > 40
    assert [name for name, signatures in answer["entries"].items() if not signatures] == []


@pytest.mark.slow
def test_two_processes_compile_no_kernel_in_common(answer: dict[str, Any]) -> None:
    assert answer["shared"] == []


@pytest.mark.slow
def test_chains_of_transforms_compile_nothing_more(answer: dict[str, Any]) -> None:
    assert answer["later"] == []
