"""Rate and time left come from finished windows, and the time left never rises."""

from __future__ import annotations

from gpu_infer.cli.pace import Pace


def test_nothing_is_known_before_the_first_window() -> None:
    pace = Pace(100.0)
    pace.update(140.0, 0, 10)
    assert (pace.per_second, pace.left_s) == (None, None)
    pace.update(150.0, 1, 10)
    assert (pace.per_second, pace.left_s) == (0.02, 450.0)


def test_the_time_left_does_not_rise_if_windows_get_slower() -> None:
    pace = Pace(0.0)
    pace.update(2.0, 2, 10)
    assert pace.left_s == 8.0
    pace.update(30.0, 3, 10)  # 0.1 per second: 70 s by now
    assert (pace.per_second, pace.left_s) == (0.1, 8.0)
    pace.update(36.0, 9, 10)  # 0.25 per second
    assert (pace.per_second, pace.left_s) == (0.25, 4.0)
