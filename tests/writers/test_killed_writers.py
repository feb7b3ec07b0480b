"""Runs that are killed while they write: complete or nothing, the input unchanged, no leftovers after cleaning."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "killed_writers.py"


def killed(folder: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, *options], capture_output=True, encoding="utf-8", check=False, timeout=550
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("option", ["--into-input", "--size=8"])
def test_killed_before_a_change_of_a_folder(tmp_path: Path, every: int, option: str) -> None:
    """A run makes some 60 changes in its folders."""
    result = killed(tmp_path, "--moments=0", f"--every={every}", "--seed=5", option)
    assert result["wrong"] == []
    assert result["steps"] > 40


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    result = killed(tmp_path, "--moments=40", "--seed=7")
    assert result["wrong"] == []
    assert sum(result["ends"].values()) == 40
