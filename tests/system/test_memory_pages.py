"""Pages of an array that a thread asks for ahead."""

from __future__ import annotations

import os
import resource
import threading

import numpy as np
import pytest

from gpu_infer.system import memory_pages
from gpu_infer.system.memory_pages import pages_ahead, take_pages

MIB = 1 << 20


def faults() -> int:
    """First writes to pages by this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def never() -> bool:
    return False


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_no_page_is_cleared_by_the_thread_that_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, ahead = np.empty(64 * MIB, np.uint8), np.empty(64 * MIB, np.uint8)
    if not take_pages(ahead[5:-5], never):
        pytest.skip("a kernel without MADV_POPULATE_WRITE")
    before = faults()
    ahead[:] = 1
    of_ahead, before = faults() - before, faults()
    fresh[:] = 1
    assert of_ahead <= 2 < faults() - before


def test_values_stay() -> None:
    array = np.arange(4 * MIB, dtype=np.float32)
    expected = array.copy()
    take_pages(array, never)
    np.testing.assert_array_equal(array, expected)


def test_a_thread_that_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    pieces: list[int] = []

    def take(array: np.ndarray, is_stopped: object) -> bool:
        pieces.append(array.nbytes)
        while not is_stopped():  # type: ignore[operator]
            pass
        return False

    monkeypatch.setattr(memory_pages, "take_pages", take)
    with pytest.raises(RuntimeError, match="damaged"):
        _fail(np.empty(32 * MIB, np.uint8))
    assert pieces == [32 * MIB]
    assert "pages" not in thread_names()


def _fail(array: np.ndarray) -> None:
    with pages_ahead(array):
        assert "pages" in thread_names()
        raise RuntimeError("damaged")


@pytest.mark.parametrize(("nbytes", "processors"), [(MIB, {0, 1}), (32 * MIB, {0})])
def test_no_thread_that_saves_nothing(nbytes: int, processors: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: processors)
    with pages_ahead(np.empty(nbytes, np.uint8)):
        assert "pages" not in thread_names()


def test_no_page_is_taken_after_the_stop() -> None:
    array = np.empty(64 * MIB, np.uint8)
    assert not take_pages(array, lambda: True)
    before = faults()
    array[:] = 1
    assert faults() - before > 2


def test_a_system_that_allows_no_further_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(threading.Thread, "start", refuse)
    array = np.empty(32 * MIB, np.uint8)
    with pages_ahead(array):
        array[:] = 1
    with pytest.raises(RuntimeError, match="damaged"), pages_ahead(array):
        raise RuntimeError("damaged")
