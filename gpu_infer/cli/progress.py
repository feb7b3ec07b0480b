"""Progress of a run: a bar with windows, rate and time left on a terminal, and log lines."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpu_infer.cli.pace import Pace
from gpu_infer.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def show_progress(*, bar: bool = True) -> Iterator[ProgressCallback]:
    """A callback for `app.run` that writes log lines, and with `bar` draws a bar on stderr if it is a terminal."""
    log_lines = line_progress()
    if not (bar and sys.stderr.isatty()):
        yield log_lines
        return
    with rich_bar() as drawn:
        draw = bar_progress(drawn)

        def show(state: Progress) -> None:
            log_lines(state)
            draw(state)

        yield show


def line_progress(clock: Callable[[], float] = time.monotonic) -> ProgressCallback:
    """Log the count of a stage every few seconds and at its end; stages without a count log nothing."""
    paces: dict[str, Pace] = {}
    logged: dict[str, float] = {}

    def show(state: Progress) -> None:
        now = clock()
        pace = paces.setdefault(state.stage, Pace(now))
        pace.update(now, state.done, state.total)
        if state.total <= 1:
            return
        last = state.done >= state.total
        if now - logged.setdefault(state.stage, now) < SECONDS_BETWEEN_LINES and not last:
            return
        logged[state.stage] = now
        remaining = "" if pace.left_s is None or last else f", {pace.left_s:.0f} s left"
        speed = "" if pace.per_second is None else f", {pace.per_second:.2g} per second"
        log.info("%s: %d of %d windows%s%s", state.stage, state.done, state.total, speed, remaining)

    return show


def rich_bar() -> RichProgress:
    """Progress bar on stderr, not yet started."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column
    from rich.text import Text

    class Windows(ProgressColumn):
        """Count, rate and remaining time; rich's own columns need many steps for a rate, a run can have few windows."""

        def render(self, task: Task) -> Text:
            total = task.total or 0
            if total <= 1:
                return Text("")
            text = f"{task.completed:.0f}/{total:.0f} windows"
            pace = task.fields["pace"]
            if pace.per_second is not None:
                text += f"  {pace.per_second:.2g}/s  {pace.left_s:.0f} s left"
            return Text(text)

    windows = Windows(table_column=Column(no_wrap=True))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), windows)
    return Bar(*columns, console=Console(stderr=True), transient=True)


def bar_progress(bar: RichProgress, clock: Callable[[], float] = time.monotonic) -> ProgressCallback:
    """A callback that shows one line per running stage and removes the line of a finished one."""
    tasks: dict[str, TaskID] = {}
    paces: dict[str, Pace] = {}

    def show(state: Progress) -> None:
        if state.stage not in tasks:
            paces[state.stage] = Pace(clock())
            tasks[state.stage] = bar.add_task(state.stage, total=state.total, pace=paces[state.stage])
        paces[state.stage].update(clock(), state.done, state.total)
        bar.update(tasks[state.stage], completed=state.done, total=state.total)
        if state.done >= state.total:
            bar.remove_task(tasks.pop(state.stage))

    return show


@contextmanager
def download_bar(name: str, *, bar: bool = True) -> Iterator[Callable[[int, int | None], None]]:
    """A callback (bytes done, total or None) that draws a bar on a terminal; elsewhere it logs one line.

    Without `bar`, it logs on a terminal too.
    """
    if not (bar and sys.stderr.isatty()):
        logged = False

        def log_once(done: int, total: int | None) -> None:
            nonlocal logged
            if not logged:
                logged = True
                log.info("downloading %s%s", name, f", {total / 1e6:.0f} MB" if total else "")

        yield log_once
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(f"downloading {name}", total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)


@contextmanager
def show_lines(name: str, *, bar: bool = True) -> Iterator[Callable[[str], None]]:
    """A callback for lines of another program: a terminal shows the last one after a spinner, else the log has all.

    Without `bar`, the log has all on a terminal too.
    """
    if not (bar and sys.stderr.isatty()):
        yield lambda line: log.debug("%s: %s", name, line)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=True))
    with Bar(*columns, console=Console(stderr=True), transient=True) as drawn:
        task: TaskID | None = None

        def show(line: str) -> None:
            nonlocal task
            if task is None:
                task = drawn.add_task(name)
            drawn.update(task, description=f"{name}  [dim]{escape(line[:70])}")

        yield show
