"""Log lines and bars say how far a run is."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console
from rich.progress import Progress as Bar

from gpu_infer.cli.progress import bar_progress, line_progress, rich_bar, show_lines, show_progress
from gpu_infer.progress import Progress


def test_lines_with_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0

    def clock() -> float:
        return now

    tell = line_progress(clock)
    with caplog.at_level(logging.INFO, "gpu_infer"):
        tell(Progress("infer", 0, 20))
        for done in range(1, 21):
            now += 2.0
            tell(Progress("infer", done, 20))
    # Every five seconds at the earliest: at 6, 12, 18, … s, and at the end.
    assert [record.getMessage() for record in caplog.records] == [
        "infer: 3 of 20 windows, 0.5 per second, 34 s left",
        "infer: 6 of 20 windows, 0.5 per second, 28 s left",
        "infer: 9 of 20 windows, 0.5 per second, 22 s left",
        "infer: 12 of 20 windows, 0.5 per second, 16 s left",
        "infer: 15 of 20 windows, 0.5 per second, 10 s left",
        "infer: 18 of 20 windows, 0.5 per second, 4 s left",
        "infer: 20 of 20 windows, 0.5 per second",
    ]


def test_stages_without_a_count_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "gpu_infer"),
        show_progress() as tell,
    ):  # pytest's stderr is no terminal
        tell(Progress("read", 0, 1))
        tell(Progress("read", 1, 1))
    assert not caplog.records


def test_bar_draws_windows_and_removes_finished_stages() -> None:
    drawn = rich_bar()
    drawn.console.file = io.StringIO()
    now = 0.0
    tell = bar_progress(drawn, lambda: now)
    tell(Progress("infer", 0, 7))
    now = 9.0
    screen = Console(file=io.StringIO(), width=100)
    screen.print(drawn.get_renderable())
    assert "left" not in screen.file.getvalue()  # type: ignore[attr-defined]
    tell(Progress("infer", 3, 7))
    now = 99.0  # no window is finished meanwhile
    screen = Console(file=io.StringIO(), width=100)
    screen.print(drawn.get_renderable())
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "infer" in text
    assert "3/7 windows  0.33/s  12 s left" in text
    tell(Progress("read", 0, 1))
    screen = Console(file=io.StringIO(), width=100)
    screen.print(drawn.get_renderable())
    assert "0/1" not in screen.file.getvalue()  # type: ignore[attr-defined]
    tell(Progress("read", 1, 1))
    tell(Progress("infer", 7, 7))
    assert isinstance(drawn, Bar)
    assert not drawn.tasks


def test_other_programs_lines_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "gpu_infer"), show_lines("installing") as tell:
        tell("Collecting numpy")
    assert [record.getMessage() for record in caplog.records] == ["installing: Collecting numpy"]
