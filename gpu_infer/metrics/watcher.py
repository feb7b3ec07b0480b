"""A watcher of a batch that counts what another one shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_infer.batch.outcome import Outcome
from gpu_infer.metrics.batch_metrics import BatchMetrics

if TYPE_CHECKING:
    from gpu_infer.batch.run_batch import Watcher


class CountingWatcher:
    """Counts every outcome and each case in work, then calls `watcher`."""

    def __init__(self, watcher: Watcher, metrics: BatchMetrics) -> None:
        self._watcher = watcher
        self._metrics = metrics

    def begin(self, skipped: Sequence[Outcome], todo: int) -> None:
        for outcome in skipped:
            self._metrics.observe(outcome)
        self._watcher.begin(skipped, todo)

    def progress(self, case: str, stage: str, done: int, total: int) -> None:
        self._metrics.begin(case)
        self._watcher.progress(case, stage, done, total)

    def outcome(self, outcome: Outcome) -> None:
        self._metrics.observe(outcome)
        self._watcher.outcome(outcome)
