"""The ring against a server in this process: states, layout and values."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ring_on_fakes import WINDOW, ring_of, transport_of
from triton_fakes import FakeServer, model

from gpu_infer.errors import ModelError
from gpu_infer.triton.client.protocol import RegionSlice
from gpu_infer.triton.model.layout import TensorLayout
from gpu_infer.triton.ring import ALIGNMENT, SlotRing, SlotState, probe_output_channels
from gpu_infer.triton.transport import DataName

pytestmark = pytest.mark.usefixtures("no_leftovers")
TRANSPORTS: tuple[DataName, ...] = ("cuda_shm", "system_shm", "inline")


@pytest.mark.parametrize("data", TRANSPORTS)
@pytest.mark.parametrize("slots", [1, 2, 5])
def test_values(server: FakeServer, data: DataName, slots: int) -> None:
    rng = np.random.default_rng(3)
    with ring_of(server, data, slots=slots) as ring:
        waiting = []
        for k in range(12):
            if len(waiting) == ring.slots:
                _take(ring, *waiting.pop(0))
            slot = ring.acquire()
            n = 1 + k % 2
            x = rng.random((n, 1, *WINDOW), np.float32)
            slot.input[:n] = x
            ring.submit(slot, n)
            waiting.append((slot, x))
        for slot, x in waiting:
            _take(ring, slot, x)
        counters = ring.counters()
    assert counters["requests"] == 12
    moved = 18 * 3 * 4 * 5 * 4 * 3  # windows × voxels × bytes × (1 in + 2 out)
    way = "inline" if data == "inline" else "shm"
    assert counters[f"bytes_{way}"] == moved
    assert counters["data"] == data
    assert counters["retries"] == counters["reregistrations"] == 0
    assert not any(worker.is_alive() for worker in ring._workers)


def _take(ring: SlotRing, slot: Any, x: Any) -> None:
    out = ring.wait(slot)
    np.testing.assert_array_equal(out[:, 0], np.full_like(x[:, 0], 0.5))
    np.testing.assert_array_equal(out[:, 1], x[:, 0])
    assert slot.state is SlotState.READY
    ring.release(slot)
    assert slot.state is SlotState.FREE


def test_layout(server: FakeServer) -> None:
    """Areas are page-aligned, do not overlap, and requests name exactly the bytes they use."""
    with ring_of(server, slots=3) as ring:
        slots = [ring.acquire() for _ in range(3)]
        starts = [at for slot in slots for at in (slot.input_at, slot.output_at)]
        assert starts == [k * ALIGNMENT for k in range(6)]
        for slot in slots:
            ring.submit(slot, 1)
        for slot in slots:
            ring.wait(slot)
    request = sorted(server.requests, key=lambda r: cast(RegionSlice, r.source).offset)[1]
    source, sink = cast(RegionSlice, request.source), request.sink
    assert (source.offset, source.nbytes) == (2 * ALIGNMENT, 240)
    assert sink is not None
    assert (sink.offset, sink.nbytes) == (3 * ALIGNMENT, 480)
    assert source.name == sink.name
    assert request.shape == (1, 1, *WINDOW)


def test_one_registration_for_the_whole_life(server: FakeServer) -> None:
    with ring_of(server) as ring:
        for _ in range(5):
            slot = ring.acquire()
            ring.submit(slot, 2)
            ring.wait(slot)
            ring.release(slot)
    assert [line for line in server.log if "register" in line] == ["register system", "unregister system"]


def test_wrong_order_is_a_programming_error(server: FakeServer) -> None:
    with ring_of(server, slots=2) as ring:
        a, b = ring.acquire(), ring.acquire()
        assert (a.number, b.number) == (0, 1)
        with pytest.raises(RuntimeError, match="slot 0 is filling, expected free"):
            ring.acquire()
        with pytest.raises(RuntimeError, match="slot 0 is filling, expected in flight"):
            ring.wait(a)
        for n in (0, 3):
            with pytest.raises(ValueError, match="n must be 1 to 2"):
                ring.submit(a, n)
        ring.submit(a, 1)
        with pytest.raises(RuntimeError, match="slot 0 is in flight, expected filling"):
            ring.submit(a, 1)
        with pytest.raises(RuntimeError, match="slot 0 is in flight, expected ready"):
            ring.release(a)
        ring.wait(a)
        with pytest.raises(RuntimeError, match="slot 0 is ready, expected in flight"):
            ring.wait(a)
        ring.release(a)
        with pytest.raises(RuntimeError, match="slot 0 is free, expected ready"):
            ring.release(a)
        ring.release(b)  # unsent
    with pytest.raises(RuntimeError, match="the ring is closed"):
        ring.acquire()
    ring.close()


def test_bad_sizes(server: FakeServer) -> None:
    with pytest.raises(ModelError, match="takes at most 4 windows a request, asked for 5"):
        ring_of(server, batch=5)
    with pytest.raises(ValueError, match="at least 1"):
        ring_of(server, slots=0)
    with pytest.raises(ModelError, match="wrong channel count"):
        ring_of(server, channels_in=2)


@pytest.mark.parametrize("data", TRANSPORTS)
def test_without_a_batch_axis(server: FakeServer, data: DataName) -> None:
    described = model(max_batch=1, batch_axis="none")
    with ring_of(server, data, described, batch=1) as ring:
        slot = ring.acquire()
        slot.input[:] = 3
        ring.submit(slot, 1)
        assert ring.wait(slot).shape == (1, 2, *WINDOW)
        assert (slot.output[0, 1] == 3).all()
    assert server.requests[0].shape == (1, *WINDOW)


@pytest.mark.parametrize("data", TRANSPORTS)
def test_fixed_batch_sends_full_requests(server: FakeServer, data: DataName) -> None:
    described = model(max_batch=3, fixed_batch=True)
    with ring_of(server, data, described, batch=2) as ring:
        slot = ring.acquire()
        slot.input[:2] = 4
        ring.submit(slot, 2)
        out = ring.wait(slot)
        assert out.shape == (2, 2, *WINDOW)
        assert (out[:, 1] == 4).all()
    assert server.requests[0].shape == (3, 1, *WINDOW)


@pytest.mark.parametrize("data", TRANSPORTS)
def test_channels_last(server: FakeServer, data: DataName) -> None:
    server.channels_last = True
    described = model(dims_in=(*WINDOW, 1), dims_out=(*WINDOW, 2))
    x = np.arange(2 * 60, dtype=np.float32).reshape(2, 1, *WINDOW)
    with ring_of(server, data, described, layout=TensorLayout(channels="last")) as ring:
        slot = ring.acquire()
        assert slot.input.shape == (2, 1, *WINDOW)
        slot.input[:] = x
        ring.submit(slot, 2)
        out = ring.wait(slot)
        assert out.shape == (2, 2, *WINDOW)
        np.testing.assert_array_equal(out[:, 1], x[:, 0])
    assert server.requests[0].shape == (2, *WINDOW, 1)


@pytest.mark.parametrize("data", TRANSPORTS)
@pytest.mark.parametrize(
    "reshape",
    [lambda a: a[..., :-1], lambda a: a[:, :1], lambda a: a.transpose(0, 1, 3, 2, 4), lambda a: a[0]],
    ids=["shorter", "fewer channels", "axes swapped", "no batch"],
)
def test_a_model_that_answers_another_shape(server: FakeServer, data: DataName, reshape: Any) -> None:
    server.reshape = reshape
    with ring_of(server, data) as ring:
        slot = ring.acquire()
        ring.submit(slot, 2)
        with pytest.raises(ModelError, match=r"model toy answered OUT as FP32 \[.*\], expected FP32 \[2, 2, 3, 4, 5\]"):
            ring.wait(slot)
        assert slot.state is SlotState.FREE


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["fill", "take", "drop"]), max_size=30), st.integers(1, 4))
def test_any_sequence_of_steps_keeps_results_with_their_windows(steps: list[str], slots: int) -> None:
    server = FakeServer()
    with ring_of(server, "inline", slots=slots) as ring:
        flying: list[tuple[Any, float]] = []
        value = 0.0
        for step in steps:
            if step == "take" and flying:
                slot, expected = flying.pop(0)
                assert (ring.wait(slot)[:, 1] == expected).all()
                ring.release(slot)
            elif step == "fill" and len(flying) < slots:
                value += 1
                slot = ring.acquire()
                slot.input[:] = value
                ring.submit(slot, 2)
                flying.append((slot, value))


def test_probe_output_channels(server: FakeServer) -> None:
    transport = transport_of(server)
    open_k = model(dims_out=(-1, -1, -1, -1))
    assert probe_output_channels(transport, open_k, WINDOW, 1) == 2
    assert server.requests[0].shape == (1, 1, *WINDOW)
    assert probe_output_channels(transport, model(dims_out=(7, -1, -1, -1)), WINDOW, 1) == 7
    assert len(server.requests) == 1  # known from the metadata: no request
    server.reshape = lambda array: array[..., :-1]
    with pytest.raises(ModelError, match=r"answered OUT as \[1, 2, 3, 4, 4\] to an input of \[1, 1, 3, 4, 5\]"):
        probe_output_channels(transport, open_k, WINDOW, 1)


@pytest.mark.parametrize("axis", ["leading", "none"])
def test_probe_channels_last(server: FakeServer, axis: str) -> None:
    server.channels_last = True
    described = model(dims_in=(-1, -1, -1, 1), dims_out=(-1, -1, -1, -1), batch_axis=axis, max_batch=1)
    assert probe_output_channels(transport_of(server), described, WINDOW, 1, layout=TensorLayout(channels="last")) == 2
