"""Slots of several models: one input, and an output, a request and a retry for each model."""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
import pytest
from ring_on_fakes import WINDOW, ring_of
from triton_fakes import FakeServer, model

from gpu_infer.errors import ModelError
from gpu_infer.triton.client.protocol import RegionSlice
from gpu_infer.triton.model.layout import CHANNELS_FIRST
from gpu_infer.triton.ring import SlotRing, SlotState
from gpu_infer.triton.slot_group import GroupLayout, WindowSizes
from gpu_infer.triton.transport import DataName

pytestmark = pytest.mark.usefixtures("no_leftovers")

TRANSPORTS: tuple[DataName, ...] = ("cuda_shm", "system_shm", "inline")
SHARED = TRANSPORTS[:2]
OTHERS = (model(name="second"), model(name="third"))


def send(ring: SlotRing, value: float) -> list[Any]:
    slots: list[Any] = ring.acquire_group()
    slots[0].input[:] = value

    def refill(slot: Any) -> None:
        slot.input[:] = value

    for slot in slots:
        slot.refill = refill
        ring.submit(slot, 2)
    return slots


def values_of(ring: SlotRing, slots: list[Any]) -> list[float]:
    values = [float(np.array(ring.wait(slot))[:, 1].max()) for slot in slots]
    for slot in slots:
        ring.release(slot)
    return values


@pytest.mark.parametrize("data", TRANSPORTS)
def test_every_model_gets_the_input_that_is_written_once(server: FakeServer, data: DataName) -> None:
    with ring_of(server, data, slots=2, further=OTHERS) as ring:
        waiting = [send(ring, 1.0), send(ring, 2.0)]
        for value in (1.0, 2.0, 3.0):
            assert values_of(ring, waiting.pop(0)) == [value] * 3
            waiting.append(send(ring, value + 2))
        assert [slot.state for slot in waiting[0]] == [SlotState.IN_FLIGHT] * 3
    assert ring.counters()["requests"] == 15
    assert [request.model for request in server.requests].count("third") == 5
    assert not any(worker.is_alive() for worker in ring._workers)


def test_the_areas_of_a_group_do_not_overlap(server: FakeServer) -> None:
    with ring_of(server, slots=2, further=OTHERS) as ring:
        for _ in range(2):
            send(ring, 1.0)
    sources = {cast(RegionSlice, request.source).offset for request in server.requests}
    sinks = [cast(RegionSlice, request.sink) for request in server.requests]
    assert len(sources) == 2
    starts = sorted([*sources, *(sink.offset for sink in sinks)])
    assert len(set(starts)) == 8
    assert all(second - first >= 4096 for first, second in itertools.pairwise(starts))


@pytest.mark.parametrize("data", SHARED)
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_late_scores_of_one_model_reach_no_later_window(server: FakeServer, data: DataName, lost: int) -> None:
    with ring_of(server, data, slots=1, further=OTHERS[:1]) as ring:
        server.script += [None] * lost
        write = server.late_scores(99.0)
        for value in (1.0, 2.0):
            assert values_of(ring, send(ring, value)) == [value] * 2
        slots = send(ring, 3.0)
        answers = [ring.wait(slot) for slot in slots]
        write()
        assert [float(np.array(answer)[:, 1].max()) for answer in answers] == [3.0] * 2
        assert ring.counters()["retries"] == 1
        assert len({slot.memory for slot in slots}) == 1


def test_models_of_other_sizes_and_batches() -> None:
    """Areas are as large as the largest batch of a fixed model; a group has no more windows than any model takes."""
    fixed = model(name="fixed", fixed_batch=True, max_batch=4)
    layout = GroupLayout([model(max_batch=2), fixed], WindowSizes(WINDOW, 1, 2, 2), CHANNELS_FIRST)
    assert layout.batch == 2
    first, second = layout.slots(1)
    assert (first.number, second.number) == (2, 3)
    assert first.input_at == second.input_at == layout.group_bytes
    assert (layout.of(first).sent(1), layout.of(second).sent(1)) == (1, 4)
    assert layout.model(second) is fixed


def test_each_model_must_fit(server: FakeServer) -> None:
    with pytest.raises(ModelError, match="model narrow takes at most 1 windows a request, asked for 2"):
        ring_of(server, further=[model(name="narrow", max_batch=1)])
    with pytest.raises(ModelError, match="wrong channel count: model two takes 2"):
        ring_of(server, further=[model(name="two", dims_in=(2, -1, -1, -1))])
