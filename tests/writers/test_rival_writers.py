"""Several writers of one name: the last complete one wins, never a mixture, and none of them fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "rival_writers.py"


@pytest.mark.parametrize(
    ("writers", "rounds", "fields"),
    [
        (2, 30, 1),
        (8, 20, 3),
        pytest.param(2, 200, 1, marks=pytest.mark.slow),
        pytest.param(4, 200, 1, marks=pytest.mark.slow),
        pytest.param(8, 100, 2, marks=pytest.mark.slow),
    ],
)
def test_rounds_of_rival_writers(tmp_path: Path, writers: int, rounds: int, fields: int) -> None:
    command = [sys.executable, SCRIPT, tmp_path, f"--writers={writers}", f"--rounds={rounds}", f"--fields={fields}"]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, encoding="utf-8", check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "rounds": rounds,
        "writers": writers,
        "mixtures": [],
        "errors": [],
        "leftovers": [],
    }
