"""Progress and log lines of Dask's workers: events of the scheduler, in plain types."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from gpu_infer.progress import Progress

EVERY_S = 1.0
"""Seconds between two events of one stage of one case: every worker's events pass the scheduler."""

TOPIC = "gpu_infer"
"""One topic for all batches, with the name of the batch in each event: the scheduler keeps a topic as long as it runs,
with a limited number of events."""

Send = Callable[[Any], None]


class Steps:
    """Sends the progress of cases. `numbers` are those of the cases by identifier."""

    def __init__(self, send: Send) -> None:
        self.numbers: dict[str, int] = {}
        self._send = send
        self._last: dict[str, tuple[str, float]] = {}

    def step(self, case: str, state: Progress) -> None:
        """Send an event, unless the stage has just had one."""
        stage, at = self._last.get(case, ("", 0.0))
        now = time.monotonic()
        if stage != state.stage or now - at >= EVERY_S:
            self._last[case] = state.stage, now
            self._send(["step", self.numbers[case], state.stage, state.done, state.total])


class EventHandler(logging.Handler):
    """Log handler of a worker: the batch writes the lines into its own log."""

    def __init__(self, send: Send, level: int) -> None:
        super().__init__(level)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        notice = bool(getattr(record, "notice", False))
        self._send(["log", record.name, record.levelno, record.getMessage(), record.exc_text, notice])


def write_line(name: str, level: int, text: str, trace: str | None, notice: bool) -> None:
    """Write a line of a worker's log into that of this process."""
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        record = logger.makeRecord(name, level, "", 0, text, (), None)
        record.exc_text, record.has_case, record.notice = trace, True, notice
        logger.handle(record)
