"""Threads that outlive the ring that they worked for."""

from __future__ import annotations

import os
import threading

from gpu_infer.triton import lasting_threads
from gpu_infer.triton.lasting_threads import run_in_thread


def thread_of_a_task() -> int:
    """Run a task; the identity of its thread, once that is idle again."""
    identities: list[int] = []
    ended = threading.Event()

    def task() -> None:
        identities.append(threading.get_ident())
        ended.set()

    run_in_thread(task)
    assert ended.wait(10)
    while identities[0] not in [thread.ident for thread in lasting_threads._idle]:
        pass
    return identities[0]


def test_an_idle_thread_runs_the_next_task() -> None:
    assert thread_of_a_task() == thread_of_a_task()


def test_tasks_at_the_same_time_run_in_different_threads() -> None:
    together = threading.Barrier(3)
    for _ in range(2):
        run_in_thread(lambda: together.wait(10) and None)
    together.wait(10)


def test_a_forked_child_starts_threads_of_its_own() -> None:
    thread_of_a_task()
    child = os.fork()
    if child == 0:
        ended = threading.Event()
        run_in_thread(ended.set)
        os._exit(0 if ended.wait(10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
