"""What the steps on arrays report to their caller."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.progress import ProgressCallback


class Observer(Protocol):
    """Receives the facts of `segment` as soon as they are known, so that they are on record if it fails later."""

    @property
    def progress(self) -> ProgressCallback:
        """Receives an event after every batch of windows."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """A context around the stage `name`: "prepare", "infer", "restore" and "statistics"."""

    def warn(self, message: str) -> None:
        """Receives a warning about this volume."""

    def record_plan(self, plan: RunPlan) -> None:
        """Receives the new plan if the transport fell back during the run."""

    def record_inference(self, plan: RunPlan, counters: dict[str, Any]) -> None:
        """Receives the plan in use and the counters of the slot ring when all windows are inferred."""
