"""Lanes with a stand-in for the worker: how many cases at a time, giving up, an error that stops them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gpu_infer.batch.case import Case
from gpu_infer.batch.lanes import LaneEvents, Lanes
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.worker import Worker
from gpu_infer.errors import Interrupted, ServerError
from gpu_infer.progress import Progress, ProgressCallback

CASES = [Case(name, (Path(name),)) for name in "abcdef"]


class StandIn:
    """A worker whose cases last until `proceed` is set, and ask for an interrupt meanwhile; `b` fails if it should."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.proceed = threading.Event()
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._error = error

    def run(self, case: Case, attempts: int, progress: ProgressCallback) -> Outcome:
        self.begun.put(case.id)
        if case.id == "b" and self._error is not None:
            raise self._error
        windows = 0
        while not self.proceed.wait(0.01):
            windows += 1
            progress(Progress("infer", windows, 10**6))
        return Outcome(case.id, "done", attempts=attempts)


class Events:
    def __init__(self) -> None:
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.stopped: list[BaseException] = []
        self.steps: list[tuple[str, Progress]] = []

    def lanes(self, worker: Callable[[], Any], count: int) -> Lanes:
        def step(case: str, state: Progress) -> None:
            self.steps.append((case, state))

        events = LaneEvents(step, self.outcomes.put, self.stopped.append)
        return Lanes(cast("Callable[[], Worker]", worker), count, events)


def test_each_lane_runs_one_case_at_a_time() -> None:
    worker, events = StandIn(), Events()
    lanes = events.lanes(lambda: worker, 2)
    assert lanes.is_idle
    for case in CASES:
        lanes.put(case, 2)
    assert {worker.begun.get(timeout=5) for _ in range(2)} == {"a", "b"}
    with pytest.raises(queue.Empty):
        worker.begun.get(timeout=0.1)
    assert not lanes.is_idle
    worker.proceed.set()
    outcomes = [events.outcomes.get(timeout=5) for _ in CASES]
    assert sorted(outcome.id for outcome in outcomes) == list("abcdef")
    assert {outcome.attempts for outcome in outcomes} == {2}
    lanes.give_up()
    assert lanes.join(5)
    assert events.stopped == []


def test_cases_are_given_up_at_their_next_step() -> None:
    worker, events = StandIn(), Events()
    lanes = events.lanes(lambda: worker, 2)
    for case in CASES:
        lanes.put(case, 1)
    worker.begun.get(timeout=5)
    lanes.give_up()
    assert lanes.join(5)
    assert events.outcomes.empty()
    assert events.stopped == []
    assert lanes.is_idle


def test_a_lane_that_hangs_is_not_waited_for() -> None:
    events, begun, hangs = Events(), threading.Event(), threading.Event()

    def make_worker() -> StandIn:
        begun.set()
        hangs.wait()
        raise Interrupted("too late")

    lanes = events.lanes(make_worker, 1)
    lanes.put(CASES[0], 1)
    begun.wait(5)
    lanes.give_up()
    assert not lanes.join(0.1)
    hangs.set()
    assert lanes.join(5)


@pytest.mark.parametrize("in_worker", [True, False])
def test_an_error_of_the_worker_stops_all_lanes_and_is_reported_once(in_worker: bool) -> None:
    error = ServerError("gone")
    worker, events = StandIn(error), Events()

    def make_worker() -> StandIn:
        if not in_worker:
            raise error
        return worker

    lanes = events.lanes(make_worker, 3)
    for case in CASES:
        lanes.put(case, 1)
    assert lanes.join(5)
    assert events.stopped == [error]
    assert events.outcomes.empty()


def test_steps_are_reported_a_few_times_a_second() -> None:
    worker, events = StandIn(), Events()
    lanes = events.lanes(lambda: worker, 1)
    lanes.put(CASES[0], 1)
    threading.Event().wait(0.5)
    worker.proceed.set()
    events.outcomes.get(timeout=5)
    lanes.give_up()
    lanes.join(5)
    assert 1 <= len(events.steps) <= 4
    assert {case for case, _ in events.steps} == {"a"}
