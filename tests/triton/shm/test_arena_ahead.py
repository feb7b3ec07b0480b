"""A segment that is made ahead: taken once, and removed if nobody takes it."""

from __future__ import annotations

import threading

import pytest
from no_threads import refuse_thread

from gpu_infer.errors import ResourceError
from gpu_infer.triton.shm import arena_ahead
from gpu_infer.triton.shm.arena_ahead import ArenaAhead
from gpu_infer.triton.shm.host_arenas import SystemArena

NBYTES = 1 << 16


def test_the_arena_is_taken_once_and_outlives_the_context() -> None:
    with ArenaAhead(NBYTES) as ahead:
        assert ahead.nbytes == NBYTES
        arena = ahead.take(NBYTES)
        assert arena is not None
        assert ahead.nbytes == 0
        assert ahead.take(NBYTES) is None
    assert arena.path.stat().st_size == NBYTES
    arena.close()
    assert not arena.path.exists()


def test_an_arena_of_another_size_is_removed() -> None:
    made: list[SystemArena] = []
    with ArenaAhead(NBYTES) as ahead:
        ahead._wait()
        assert ahead._arena is not None
        made.append(ahead._arena)
        assert ahead.take(2 * NBYTES) is None
        assert not made[0].path.exists()


def test_an_arena_that_nobody_takes_is_removed_at_the_end() -> None:
    with ArenaAhead(NBYTES) as ahead:
        ahead._wait()
        arena = ahead._arena
        assert arena is not None
        assert arena.path.exists()
    assert not arena.path.exists()


def test_a_failure_is_left_to_the_one_who_needs_the_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(nbytes: int) -> SystemArena:
        raise ResourceError(f"no {nbytes} bytes")

    monkeypatch.setattr(arena_ahead, "SystemArena", refuse)
    with ArenaAhead(NBYTES) as ahead:
        assert ahead.nbytes == 0
        assert ahead.take(NBYTES) is None


def test_without_another_thread_no_arena_is_made_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", refuse_thread)
    with ArenaAhead(NBYTES) as ahead:
        assert ahead.nbytes == 0
        assert ahead.take(NBYTES) is None
