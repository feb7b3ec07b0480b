"""What a batch has counted so far. No label holds the name of a case or a path."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gpu_infer.batch.outcome import Outcome

STATUSES = ("done", "failed", "crashed", "skipped")
KINDS = ("input", "model", "config", "server", "resource", "crash", "unexpected")
PATHS = ("shm", "inline")


@dataclass(frozen=True)
class Counts:
    """A copy of the counts; each metric has its labels from the start, so that a rate begins at 0.

    cases    by status; a case that an earlier batch ended is "skipped", whatever its status
    bytes    of voxels and scores, by how they reached the server
    seconds  by stage of report.json, added over all cases; stages of several cases overlap
    """

    cases: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PATHS, 0))
    seconds: dict[str, float] = field(default_factory=dict)
    windows: int = 0
    in_work: int = 0


class BatchCounts:
    """Counts the outcomes of a batch; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cases = Counter(dict.fromkeys(STATUSES, 0))
        self._failures = Counter(dict.fromkeys(KINDS, 0))
        self._bytes = Counter(dict.fromkeys(PATHS, 0))
        self._seconds: dict[str, float] = {}
        self._windows = 0
        self._in_work: set[str] = set()

    def begin(self, case: str) -> None:
        """A case is in work until its outcome is observed."""
        with self._lock:
            self._in_work.add(case)

    def observe(self, outcome: Outcome) -> None:
        """Count a case that has ended, and what its report has."""
        report: dict[str, Any] = {} if outcome.skipped else outcome.report
        triton = report.get("triton", {})
        with self._lock:
            self._in_work.discard(outcome.id)
            self._cases["skipped" if outcome.skipped else outcome.status] += 1
            if outcome.status != "done" and not outcome.skipped:
                self._failures[outcome.kind or "unexpected"] += 1
            self._windows += report.get("tiles", {}).get("inferred", 0)
            for path in PATHS:
                self._bytes[path] += triton.get(f"bytes_{path}", 0)
            for stage, seconds in report.get("stages", {}).items():
                self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def end(self) -> None:
        """The batch has ended: no case is in work."""
        with self._lock:
            self._in_work.clear()

    def copy(self) -> Counts:
        """All counts at one time."""
        with self._lock:
            return Counts(
                dict(self._cases),
                dict(self._failures),
                dict(self._bytes),
                dict(self._seconds),
                self._windows,
                len(self._in_work),
            )
