"""Which Dask worker gets which case; every sequence of ends, deaths and stops gives each case its outcome."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.dask_dealing import Dealing


def cases(count: int) -> list[Case]:
    return [Case(f"c{n}", (Path(f"{n}.nii"),)) for n in range(count)]


def ids(dealing: Dealing) -> dict[str, list[str]]:
    return {w.address: [a.case.id for a in w.in_work.values()] for w in dealing.workers.values()}


def test_cases_are_dealt_in_turn_up_to_the_lanes() -> None:
    dealing = Dealing(cases(5), lanes=2)
    dealing.add("a"), dealing.add("b")
    dealing.deal()
    assert ids(dealing) == {"a": ["c0", "c2"], "b": ["c1", "c3"]}
    assert dealing.deal() == []
    dealing.end(dealing.workers["b"], 1)
    dealing.deal()
    assert ids(dealing) == {"a": ["c0", "c2"], "b": ["c3", "c4"]}


def test_cases_of_a_dead_worker_run_alone() -> None:
    dealing = Dealing(cases(4), lanes=2)
    dead = dealing.add("a")
    dealing.deal()
    assert dealing.lose(dead) == []
    dealing.add("b")
    dealing.deal()
    assert ids(dealing) == {"b": ["c0"]}
    assert [a.attempts for a in dealing.workers["b"].in_work.values()] == [2]
    dealing.end(dealing.workers["b"], 0)
    dealing.deal()
    assert ids(dealing) == {"b": ["c1"]}
    assert [a.case.id for a in dealing.lose(dealing.workers["b"])] == ["c1"]
    dealing.add("c")
    dealing.deal()
    assert ids(dealing) == {"c": ["c2", "c3"]}


def test_only_one_worker_waits_for_suspects() -> None:
    dealing = Dealing(cases(9), lanes=2)
    for name in "abc":
        dealing.add(name)
    dealing.deal()
    dealing.end(dealing.workers["b"], 1)
    dealing.lose(dealing.workers["a"])  # c0, c3
    dealing.deal()
    assert ids(dealing) == {"b": ["c4"], "c": ["c2", "c5"]}
    dealing.end(dealing.workers["b"], 4)
    dealing.deal()
    assert ids(dealing)["b"] == ["c0"]
    dealing.end(dealing.workers["c"], 2)
    dealing.deal()
    assert ids(dealing) == {"b": ["c0"], "c": ["c5", "c6"]}


def test_cases_of_a_stopped_worker_come_first_again() -> None:
    dealing = Dealing(cases(4), lanes=2)
    dealing.add("a")
    dealing.deal()
    dealing.stop(dealing.workers["a"])
    assert not dealing.is_over
    dealing.add("b")
    dealing.deal()
    assert ids(dealing) == {"b": ["c0", "c1"]}
    assert [a.attempts for a in dealing.workers["b"].in_work.values()] == [1, 1]


@given(
    st.integers(0, 8), st.integers(1, 3), st.lists(st.tuples(st.sampled_from("edsa"), st.integers(0, 9)), max_size=60)
)
def test_each_case_ends_once(count: int, lanes: int, events: list[tuple[str, int]]) -> None:
    dealing = Dealing(cases(count), lanes)
    ended: list[str] = []
    seen = 0
    for event, choice in [*events, *[("a", 0), *[("e", 0)] * (count + 1)]]:
        workers = list(dealing.workers.values())
        if event == "a" or not workers:
            dealing.add(f"w{seen}")
            seen += 1
        else:
            worker = workers[choice % len(workers)]
            busy = [w for w in workers if w.in_work]
            if event == "e" and busy:
                worker = busy[choice % len(busy)]
                number, attempt = next(iter(worker.in_work.items()))
                dealing.end(worker, number)
                ended.append(attempt.case.id)
            elif event == "d":
                condemned = dealing.lose(worker)
                assert all(attempt.attempts == 2 for attempt in condemned)
                ended += [attempt.case.id for attempt in condemned]
            elif event == "s":
                dealing.stop(worker)
        dealing.deal()
        for worker in dealing.workers.values():
            assert len(worker.in_work) <= lanes
            assert len(worker.in_work) == 1 or all(a.attempts == 1 for a in worker.in_work.values())
    assert sorted(ended) == [f"c{n}" for n in range(count)]
    assert dealing.is_over
