"""Progress of a batch: one line for all cases on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpu_infer.cli.pace import Pace
from gpu_infer.cli.signals import raise_if_interrupted
from gpu_infer.system.notices import NOTICE

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from gpu_infer.batch.outcome import Outcome

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0
_SHOWN = 4  # cases in work that the line names


class BatchWatcher:
    """Counts cases and windows; `draw` receives the line whenever it changes, `line` writes log lines.

    Args:
        draw: (cases ended, cases in all, the line), or None.
        clock: seconds.
    """

    def __init__(
        self, draw: Callable[[int, int, str], None] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draw = draw
        self._clock = clock
        self._total = 0
        self._ended = 0
        self._failed = 0
        self._in_work: dict[str, str] = {}
        self._pace = Pace(clock())
        self._logged = clock()

    def begin(self, skipped: Sequence[Outcome], todo: int) -> None:
        self._total, self._pace, self._logged = todo, Pace(self._clock()), self._clock()
        self._show()

    def progress(self, case: str, stage: str, done: int, total: int) -> None:
        raise_if_interrupted()
        self._in_work[case] = f"{stage} {100 * done // total} %" if total > 1 else stage
        self._show()

    def outcome(self, outcome: Outcome) -> None:
        raise_if_interrupted()
        self._in_work.pop(outcome.id, None)
        self._ended += 1
        self._failed += outcome.status != "done"
        self._pace.update(self._clock(), self._ended, self._total)
        now = self._clock()
        if now - self._logged >= SECONDS_BETWEEN_LINES or self._ended == self._total:
            self._logged = now
            extra = {} if self._draw else NOTICE
            log.info("%d/%d cases%s", self._ended, self._total, self._numbers(), extra=extra)
        self._show()

    def line(self) -> str:
        """Counts, rate, time left and the cases in work."""
        named = [f"{case} ({stage})" for case, stage in list(self._in_work.items())[:_SHOWN]]
        more = f" and {len(self._in_work) - _SHOWN} more" if len(self._in_work) > _SHOWN else ""
        in_work = f"  {', '.join(named)}{more}" if named else ""
        return f"{self._ended}/{self._total} cases{self._numbers()}{in_work}"

    def _numbers(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        rate = self._pace.per_second
        speed = f", {per_hour(rate * 3600)} per hour" if rate is not None else ""
        left = self._pace.left_s
        remaining = f", {_duration(left)} left" if left is not None and self._ended < self._total else ""
        return f"{failed}{speed}{remaining}"

    def _show(self) -> None:
        if self._draw is not None:
            self._draw(self._ended, self._total, self.line())


@contextmanager
def show_batch(*, bar: bool = True) -> Iterator[BatchWatcher]:
    """A watcher that writes log lines, and with `bar` draws one line on stderr if it is a terminal."""
    if not (bar and sys.stderr.isatty()):
        yield BatchWatcher(None)
        return
    with _rich_line() as drawn:
        task = drawn.add_task("", total=None)
        yield BatchWatcher(
            lambda ended, total, line: drawn.update(task, completed=ended, total=total or None, description=line)
        )


def _rich_line() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Bar(SpinnerColumn(), BarColumn(20), text, console=Console(stderr=True), transient=True)


def per_hour(rate: float) -> str:
    """As 0.25, 4.2 or 1234."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    """As 45 s, 12 min or 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
