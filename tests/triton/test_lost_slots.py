"""Slots whose requests have no answer: their memory is not used again before the server has let go of it."""

from __future__ import annotations

import socket
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from ring_on_fakes import ring_of
from triton_fakes import FakeServer

from gpu_infer.errors import ConfigError, DeadlineError, Interrupted, ModelError, ResourceError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost, RegionBusy
from gpu_infer.triton.ring import SlotRing, SlotState
from gpu_infer.triton.shm import registration as module
from gpu_infer.triton.transport import DataName

pytestmark = pytest.mark.usefixtures("no_leftovers")

SHARED: tuple[DataName, ...] = ("cuda_shm", "system_shm")


def send(ring: SlotRing, value: float) -> Any:
    slot = ring.acquire()
    slot.input[:] = value
    ring.submit(slot, 2)
    return slot


def value_of(ring: SlotRing, slot: Any) -> float:
    scores = np.array(ring.wait(slot))
    ring.release(slot)
    (value,) = np.unique(scores[:, 1])
    return float(value)


@pytest.mark.parametrize("data", SHARED)
def test_late_scores_reach_no_later_window(server: FakeServer, data: DataName) -> None:
    with ring_of(server, data, slots=2) as ring:
        write = server.late_scores(99.0)
        first = send(ring, 1.0)
        assert value_of(ring, first) == 1.0
        slots = [send(ring, value) for value in (2.0, 3.0)]  # both slots in flight, and answered
        for slot in slots:
            ring.wait(slot)
        write()
        assert [float(np.array(slot.output)[0, 1].max()) for slot in slots] == [2.0, 3.0]
        for slot in slots:
            ring.release(slot)
        assert ring.counters()["reregistrations"] == 1


@pytest.mark.parametrize("data", SHARED)
def test_late_scores_do_not_change_the_request_that_was_sent_again(server: FakeServer, data: DataName) -> None:
    with ring_of(server, data, slots=1) as ring:
        write = server.late_scores(99.0)
        slot = send(ring, 1.0)
        scores = ring.wait(slot)
        write()
        assert (np.array(scores)[:, 1] == 1.0).all()


@pytest.mark.parametrize("data", SHARED)
@pytest.mark.parametrize(
    "error", [DeadlineError("late"), ConnectionLost("lost"), ServerError("odd"), ModelError("504")]
)
def test_a_slot_without_an_answer_gets_other_memory(server: FakeServer, data: DataName, error: Exception) -> None:
    """Also after the error was raised, for callers that go on."""
    with ring_of(server, data, slots=1, retries=0) as ring:
        server.script = [error]
        slot = send(ring, 1.0)
        with pytest.raises(type(error)):
            ring.wait(slot)
        assert slot.state is SlotState.FREE
        assert value_of(ring, send(ring, 2.0)) == 2.0
        lost, later = server.requests
        assert lost.sink is not None
        assert later.sink is not None
        assert lost.sink.name != later.sink.name


def test_memory_is_used_again_once_the_server_has_let_go(server: FakeServer) -> None:
    """Never more than two arenas, however often connections are lost."""
    with ring_of(server, slots=2) as ring:
        for value in range(1, 6):
            server.script = [ConnectionLost("lost")]
            assert value_of(ring, send(ring, value)) == value
            assert len(server.regions) <= 2
        assert ring.counters()["reregistrations"] == 5
    assert server.log.count("register system") == server.log.count("unregister system") == 6


def test_a_server_that_does_not_let_go_ends_the_run(server: FakeServer) -> None:
    with ring_of(server, slots=1, reconnect_s=0.5) as ring:
        server.script = [ConnectionLost("lost")]
        assert value_of(ring, send(ring, 1.0)) == 1.0
        server.script = [ConnectionLost("lost")]
        server.unregister_errors = [RegionBusy("it is currently in use") for _ in range(1000)]
        slot = send(ring, 2.0)
        with pytest.raises(ServerError, match="no memory is left that it cannot write to") as caught:
            ring.wait(slot)
        assert caught.value.exit_code == 4
        server.unregister_errors = []


def test_a_server_that_refuses_connections_has_not_let_go(server: FakeServer) -> None:
    """The proxy in front of it may have ended: nothing but the server's own word counts."""
    with ring_of(server, slots=1, reconnect_s=0.5) as ring:
        server.script = [ConnectionLost("lost")]
        assert value_of(ring, send(ring, 1.0)) == 1.0
        server.script = [ConnectionLost("lost")]
        server.unregister_errors = [ConnectionLost("connection refused") for _ in range(1000)]
        slot = send(ring, 2.0)
        with pytest.raises(ServerError, match="no memory is left"):
            ring.wait(slot)
        server.unregister_errors = []


@pytest.mark.parametrize("data", SHARED)
def test_without_spare_memory_a_lost_connection_is_an_error(server: FakeServer, data: DataName) -> None:
    with ring_of(server, data, spare=False) as ring:
        server.script = [ConnectionLost("lost")]
        slot = send(ring, 1.0)
        with pytest.raises(ServerError, match="memory was too short to plan spare slots") as caught:
            ring.wait(slot)
        assert caught.value.exit_code == 4


def test_inline_data_needs_no_spare_memory(server: FakeServer) -> None:
    with ring_of(server, "inline", spare=False) as ring:
        server.script = [ConnectionLost("lost")]
        assert value_of(ring, send(ring, 1.0)) == 1.0


def test_no_space_for_fresh_memory_is_an_error_of_the_connection(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_infer.errors import ResourceError
    from gpu_infer.triton import transport

    def full(nbytes: int) -> None:
        raise ResourceError("the slots need 1.0 MiB of shared memory", remedy="enlarge it")

    with ring_of(server) as ring:
        server.script = [ConnectionLost("lost")]
        slot = send(ring, 1.0)
        monkeypatch.setattr(transport, "SystemArena", full)
        with pytest.raises(ServerError, match="there is no memory for sending again: the slots need 1") as caught:
            ring.wait(slot)
        assert caught.value.exit_code == 4


def test_the_refill_of_a_slot_is_preferred_to_a_copy(server: FakeServer) -> None:
    """A model may have written to its input."""
    with ring_of(server) as ring:
        server.script = [ConnectionLost("lost")]
        slot = ring.acquire()
        slot.input[:] = 5.0

        def refill(again: Any) -> None:
            again.input[:] = 7.0

        slot.refill = refill
        ring.submit(slot, 2)
        assert value_of(ring, slot) == 7.0


@pytest.mark.parametrize("data", SHARED)
@pytest.mark.parametrize("lost", [True, False])
def test_gpu_memory_of_a_lost_request_is_not_used_for_the_next_case(
    server: FakeServer, data: DataName, lost: bool
) -> None:
    """What refuses connections may be a proxy that has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.url = f"127.0.0.1:{listener.getsockname()[1]}"
    ring = ring_of(server, data, slots=1, retries=0)
    if lost:
        server.script = [ConnectionLost("lost")]
        slot = send(ring, 1.0)
        with pytest.raises(ConnectionLost):
            ring.wait(slot)
    arena: Any = ring._arena
    server.unregister_errors = [ConnectionLost("connection refused") for _ in range(2)]
    ring.close()
    assert arena.in_use_by_server == (lost and data == "cuda_shm")
    module._close_all()
    server.regions.clear()


@pytest.mark.parametrize("data", SHARED)
@pytest.mark.parametrize("how", ["interrupted", "cut off"])
def test_gpu_memory_of_a_request_without_an_answer_is_not_used_for_the_next_case(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, data: DataName, how: str
) -> None:
    """As that of a lost request."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.url = f"127.0.0.1:{listener.getsockname()[1]}"
    ring = ring_of(server, data, slots=1)
    if how == "cut off":
        server.script = [ConnectionLost("the request was cut off")]
        send(ring, 1.0)
    else:
        if server.control == "http":  # the thread that waits reads the answer
            server.script = [interrupted]
        slot = send(ring, 1.0)
        if server.control == "grpc":
            slot.future.result(10)
            slot.future = Future()  # never done
            monkeypatch.setattr(slot.future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ring.wait(slot)
    arena: Any = ring._arena
    server.unregister_errors = [ConnectionLost("connection refused") for _ in range(2)]
    ring.close()
    assert arena.in_use_by_server == (data == "cuda_shm")
    module._close_all()
    server.regions.clear()


@pytest.mark.parametrize("data", SHARED)
@pytest.mark.parametrize("error", [ConfigError("--tls-ca: no such file"), ResourceError("0 more files may be opened")])
def test_a_request_that_was_never_sent_is_not_lost(
    server: FakeServer, caplog: pytest.LogCaptureFixture, data: DataName, error: Exception
) -> None:
    ring = ring_of(server, data, slots=1)
    server.script = [error]
    slot = send(ring, 1.0)
    with pytest.raises(type(error)):
        ring.wait(slot)
    assert not slot.lost
    assert not slot.memory.registration.lost
    assert not ring._workers[0].in_flight
    ring.close(failed=True)
    assert "in flight" not in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("interrupted by SIGINT")])
def test_an_interrupted_wait_leaves_the_slots_memory_alone(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """A caller that continues after Ctrl-C gets other memory, since the server still works on the request."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise error

    with ring_of(server, "system_shm", slots=1) as ring:
        if server.control == "http":  # the thread that waits reads the answer
            server.script = [interrupted]
        slot = send(ring, 1.0)
        before, pending = slot.memory, slot.future
        if server.control == "grpc":
            slot.future = Future()  # never done
            monkeypatch.setattr(slot.future, "result", interrupted)
        with pytest.raises(type(error)):
            ring.wait(slot)
        assert before is not None
        assert before.registration is not None
        if isinstance(pending, Future):
            monkeypatch.undo()
            pending.result(10)
        else:
            assert not pending.done()
        again = send(ring, 2.0)
        assert again.memory is not before
        assert value_of(ring, again) == 2.0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("interrupted by SIGINT")])
def test_an_interrupted_acquire_leaves_no_slot_between_two_arenas(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise error

    with ring_of(server, "system_shm", slots=2) as ring:
        server.script = [ConnectionLost("lost")]
        slot = send(ring, 1.0)
        assert value_of(ring, slot) == 1.0  # from another arena, to which the other slot has to move, too
        monkeypatch.setattr(type(ring._layout.of(slot)), "views", interrupted)
        with pytest.raises(type(error)):
            ring.acquire()
        monkeypatch.undo()
        assert value_of(ring, send(ring, 2.0)) == 2.0


def test_an_interrupted_submit_is_not_answered_by_the_reply_before(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(slot: Any) -> None:
        raise KeyboardInterrupt

    with ring_of(server, "system_shm", slots=1) as ring:
        assert value_of(ring, send(ring, 1.0)) == 1.0
        monkeypatch.setattr(ring, "_send", interrupted)
        slot = ring.acquire()
        with pytest.raises(KeyboardInterrupt):
            ring.submit(slot, 2)
        with pytest.raises(RuntimeError, match="slot 0"):
            ring.wait(slot)
