"""The one interface of all engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from gpu_infer.batch.case import Case
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.outcome import Outcome

CaseProgress = Callable[[str, str, int, int], None]
"""Receives (id of the case, stage, windows done, windows in all) while cases are in work."""


class Engine(Protocol):
    """Runs cases somewhere. Each case's case.json is on the disk before its outcome is yielded."""

    def outcomes(self, job: BatchJob, cases: Sequence[Case], progress: CaseProgress) -> Iterator[Outcome]:
        """Run the cases and yield their outcomes in the order in which they end.

        A case's own failure is an outcome. Closing the iterator ends the engine: cases in work are given up, and no
        worker, region or temporary file of theirs remains.

        Raises:
            ServerError, ResourceError: The workers stopped, since the server or the machine failed twice in a row; the
                cases without an outcome have no case.json of this batch.
            ConfigError: The engine cannot be used as configured.
        """
