"""Every part of a run's time belongs to a stage of its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "fakecuda" / "host_profile.py"
MOST_UNACCOUNTED_S = 0.02


@pytest.fixture
def reports(tmp_path: Path) -> list[dict[str, Any]]:
    """Of four runs of one case, 512×512×300 voxels, in one process in which the GPU takes no time."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "FAKECUDA_MODE": "null"},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_stages_account_for_the_time_of_a_run(reports: list[dict[str, Any]]) -> None:
    """From the second run on, and in the best of them: others use the machine too."""
    first, *later = reports
    assert len(later) >= 1
    assert {report["device"] for report in reports} == {"gpu"}
    assert first["input"]["shape"] == [512, 512, 300]
    unaccounted = [report["seconds"] - sum(report["stages"].values()) for report in later]
    stages = [report["stages"] for report in later]
    assert min(unaccounted) < MOST_UNACCOUNTED_S, f"{[round(s, 3) for s in unaccounted]} s in no stage; {stages}"
