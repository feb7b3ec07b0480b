"""The ring when requests fail or the connection is lost, and how it ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
from ring_on_fakes import ring_of
from triton_fakes import FakeServer

from gpu_infer.errors import DeadlineError, ModelError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost, RegionBusy, RegionUnknown
from gpu_infer.triton.direct_sender import DirectSender
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.worker import SlotWorker

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.mark.parametrize("error", [ModelError("boom"), DeadlineError("late"), ServerError("no"), ValueError("bug")])
def test_errors_surface_where_one_waits(server: FakeServer, error: Exception) -> None:
    server.script = [None, error]
    with ring_of(server) as ring:
        first, second = ring.acquire(), ring.acquire()
        ring.submit(first, 1)
        ring.wait(first)
        ring.submit(second, 1)
        with pytest.raises(type(error), match=str(error)):
            ring.wait(second)


def test_a_failed_request_does_not_hold_what_its_run_has(server: FakeServer) -> None:
    """Without a collection of cycles, which a command does seldom: a session goes on to the next volume."""

    class Volume:
        pass

    def run(ring: SlotRing) -> None:
        volume = Volume()
        volumes.append(weakref.ref(volume))
        slot = ring.acquire()
        ring.submit(slot, 1)
        ring.wait(slot)

    def fail() -> None:
        raise ModelError("boom")

    volumes: list[weakref.ref[Volume]] = []
    server.script = [fail]
    gc.disable()
    try:
        with ring_of(server) as ring:
            with suppress(ModelError):
                run(ring)
            for worker in ring._workers:  # it has dropped the error, too
                worker.stop()
                worker.join(60)
            assert volumes[0]() is None
    finally:
        gc.enable()


def test_lost_connection_is_retried_once(server: FakeServer) -> None:
    server.script = [ConnectionLost("gone")]
    with ring_of(server) as ring:
        slot = ring.acquire()
        slot.input[:] = 9
        ring.submit(slot, 2)
        assert (ring.wait(slot)[:, 1] == 9).all()
        assert ring.counters()["retries"] == 1
        server.script = [ConnectionLost("gone"), ConnectionLost("gone again")]
        ring.release(slot)
        slot = ring.acquire()
        ring.submit(slot, 2)
        with pytest.raises(ConnectionLost, match="gone again"):
            ring.wait(slot)


def test_restarted_server_is_registered_with_again_once_for_all_slots(server: FakeServer) -> None:
    # Over HTTP, one thread reads the answers in turn, each with that of its second try.
    together = threading.Barrier(3 if server.control == "grpc" else 1)
    restart = iter([server.restart])

    def forget() -> None:
        if together.wait(5) == 0:
            next(restart, lambda: None)()
        together.wait(5)
        raise RegionUnknown("Unable to find shared memory region")

    server.script = [forget] * 3 if server.control == "grpc" else [forget, None] * 3
    with ring_of(server, slots=3) as ring:
        slots = [ring.acquire() for _ in range(3)]
        for slot in slots:
            slot.input[:] = slot.number
            ring.submit(slot, 2)
        for slot in slots:
            assert (ring.wait(slot)[:, 1] == slot.number).all()
        counters = ring.counters()
    assert counters["reregistrations"] == 1
    assert counters["retries"] == 3
    assert server.log.count("register system") == 2


def test_a_region_that_vanishes_twice_fails(server: FakeServer) -> None:
    server.script = [RegionUnknown("lost 1"), RegionUnknown("lost 2")]
    with ring_of(server) as ring:
        slot = ring.acquire()
        ring.submit(slot, 1)
        with pytest.raises(ServerError, match="lost 2"):
            ring.wait(slot)


def test_a_server_that_stays_away(server: FakeServer) -> None:
    server.script = [ConnectionLost("gone")]
    server.ready = False
    with ring_of(server, reconnect_s=0.3) as ring:
        slot = ring.acquire()
        ring.submit(slot, 1)
        with pytest.raises(DeadlineError, match=r"lost the connection to .* which was not ready again within 0\.3 s"):
            ring.wait(slot)


def test_close_waits_for_what_is_in_flight(server: FakeServer) -> None:
    """The region is unregistered only after the request that uses it has ended."""
    seen = []
    server.script = [lambda: (time.sleep(0.3), seen.append(len(server.regions)))[0]]
    ring = ring_of(server)
    ring.submit(ring.acquire(), 1)
    ring.close()
    assert seen == [1]
    assert not server.regions


def test_an_inline_request_that_misses_the_first_cut_is_cut_again(server: FakeServer) -> None:
    """The connection is still being made, say."""

    def deaf() -> None:
        until = time.monotonic() + 20.0
        while server.log.count("aborted") < 2 and time.monotonic() < until:
            time.sleep(0.01)
        raise ConnectionLost("the request was cut off")

    server.script.append(deaf)
    ring = ring_of(server, "inline", slots=1)
    ring.submit(ring.acquire(), 1)
    ring.close(failed=True)
    assert server.log.count("aborted") == 2
    assert not any(worker.is_alive() for worker in ring._workers)


def test_close_gives_up_reconnecting(server: FakeServer) -> None:
    server.script = [ConnectionLost("gone")]
    server.ready = False
    ring = ring_of(server, reconnect_s=600.0)
    slot = ring.acquire()
    ring.submit(slot, 1)
    time.sleep(0.1)
    started = time.monotonic()
    ring.close()
    assert time.monotonic() - started < 10
    with pytest.raises(ServerError, match="not sent again, since the ring is closed"):
        ring.wait(slot)


def test_close_waits_for_a_server_that_is_still_busy(server: FakeServer) -> None:
    ring = ring_of(server)
    server.unregister_errors = [RegionBusy("in use")] * 3
    ring.close()
    assert server.unregister_errors == []
    assert not server.regions


def test_a_failing_construction_leaves_nothing(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: SlotWorker | DirectSender) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(SlotWorker if server.control == "grpc" else DirectSender, "start", no_thread)
    with pytest.raises(RuntimeError, match="new thread"):
        ring_of(server)
    assert not server.regions


def test_forgotten_ring_is_cleaned_up_at_exit(tmp_path: Path) -> None:
    """Neither closed nor used as a context manager: the end of the interpreter unregisters and removes."""
    import subprocess
    import sys

    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from ring_on_fakes import FakeServer, ring_of
server = FakeServer()
ring = ring_of(server)
import atexit
from gpu_infer.triton.shm import host_arenas, registration
atexit.unregister(registration._close_all); atexit.unregister(host_arenas._close_all)
atexit.register(lambda: print("regions", len(server.regions), server.log[-1]))
atexit.register(host_arenas._close_all); atexit.register(registration._close_all)
print(ring._arena.path)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    path, told = done.stdout.splitlines()
    assert told == "regions 0 unregister system"
    assert not Path(path).exists()


@pytest.mark.parametrize("failed", [False, True])
def test_the_end_of_a_ring_needs_no_further_thread(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    """A process that can have no other thread still shows the error that ended the run."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ring = ring_of(server, "system_shm")
    ring.submit(ring.acquire(), 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        ring.close(failed=failed)
    assert not server.regions
