"""Verdicts of the GPU check on a test run, a report of the operator and a bench's result."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OPTIONAL = re.compile(r"\btorch\b")
"""Permitted reasons of a skipped test on a GPU host: packages that the host need not have."""


def failing_tests(lines: Sequence[str]) -> list[str]:
    """pytest's short summary of failures; of a run that was ended, the lines of the failed tests."""
    short = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return short or [line for line in lines if "::" in line and (" FAILED" in line or " ERROR" in line)]


def test_counts(xml: Path) -> dict[str, int]:
    """Counts of a JUnit file: tests, failures, errors, skipped, passed."""
    suite = ElementTree.parse(xml).getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    counts["passed"] = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    return counts


test_counts.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it as a test


def skipped_tests(xml: Path) -> dict[str, str]:
    """Reason by test of those that a GPU host must not skip; OPTIONAL has the permitted reasons."""
    reasons = {}
    for case in ElementTree.parse(xml).getroot().iter("testcase"):
        skip = case.find("skipped")
        if skip is not None and not OPTIONAL.search(skip.get("message", "")):
            reasons[f"{case.get('classname')}::{case.get('name')}"] = skip.get("message", "")
    return reasons


def broken_promises(report: dict[str, Any], label_bytes: int) -> str:
    """Deviations of a GPU run from the promise that only the volume goes up and only labels go down; empty if none."""
    import numpy as np  # later than the step that reports it missing

    stored = report["input"]
    volume_bytes = math.prod(stored["shape"]) * stored["channels"] * np.dtype(stored["dtype"]).itemsize
    counted = report["gpu"]
    promised = {
        "bytes_up": (counted["bytes_up"], volume_bytes),
        "bytes_down": (counted["bytes_down"], label_bytes),
        "tile_bytes_up": (counted["tile_bytes_up"], 0),
        "tile_bytes_down": (counted["tile_bytes_down"], 0),
        "data": (report["triton"]["data"], "cuda_shm"),
    }
    return "; ".join(f"{name} is {is_}, promised {due}" for name, (is_, due) in promised.items() if is_ != due)


def memory_fallbacks(report: dict[str, Any]) -> str:
    """Memory fallbacks of the run's plan, in one line; empty if there are none."""
    return "; ".join(report["plan"]["steps"])


def models_on_cpu(result: dict[str, Any]) -> str | None:
    """The result's own note if its models computed on the CPU, else None."""
    if result.get("models_device") == "gpu":
        return None
    notes = [note for note in result.get("notes", ()) if "models compute" in note]
    return notes[0] if notes else "the result does not say that the models computed on the GPU"
