"""Places of tensors in an arena, and the requests that name them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from triton_fakes import model

from gpu_infer.errors import ModelError
from gpu_infer.triton.client.protocol import InferReply, RegionSlice
from gpu_infer.triton.model.layout import CHANNELS_FIRST, TensorLayout
from gpu_infer.triton.shm.host_arenas import HostArena
from gpu_infer.triton.shm.registration import Registration
from gpu_infer.triton.slot_group import GroupLayout, WindowSizes
from gpu_infer.triton.slot_layout import ALIGNMENT, SlotLayout
from gpu_infer.triton.slot_memory import SlotMemory

WINDOW = (3, 4, 5)


def test_areas_begin_on_pages_and_do_not_overlap() -> None:
    group = GroupLayout([model()], WindowSizes(WINDOW, 1, 2, 2), CHANNELS_FIRST)
    layout, slots = group.layouts[0], [slot for n in range(3) for slot in group.slots(n)]
    places = [at for slot in slots for at in (slot.input_at, slot.output_at)]
    assert places == sorted(places)
    assert not any(at % ALIGNMENT for at in places)
    assert layout.bytes_in(2) == 2 * 60 * 4 <= places[1] - places[0]
    assert layout.bytes_out(2) == 2 * 2 * 60 * 4 <= places[2] - places[1]
    assert group.group_bytes == places[2] - places[0]


def test_channels_last_is_seen_channels_first() -> None:
    described = model(dims_in=(-1, -1, -1, 2), dims_out=(-1, -1, -1, 2))
    group = GroupLayout([described], WindowSizes(WINDOW, 2, 2, 1), TensorLayout(channels="last"))
    arena, layout, (slot,) = HostArena(group.group_bytes), group.layouts[0], group.slots(0)
    slot.input, slot.output = layout.views(slot, arena)
    assert slot.input.shape == slot.output.shape == (1, 2, *WINDOW)
    slot.input[0, 1] = 7
    slot.n = 1
    request = layout.request(slot, SlotMemory(arena, None))
    assert request.shape == (1, *WINDOW, 2)
    assert np.asarray(request.source)[..., 1].min() == 7
    slot.input = slot.output = None
    arena.close()


def test_slices_have_a_third_axis_of_size_1() -> None:
    described = model(dims_in=(1, -1, -1), dims_out=(2, -1, -1))
    group = GroupLayout([described], WindowSizes((3, 1, 5), 1, 2, 2), TensorLayout("ZX"))
    layout = group.layouts[0]
    assert (layout.bytes_in(2), layout.bytes_out(2)) == (2 * 15 * 4, 2 * 30 * 4)
    arena, (slot,) = HostArena(group.group_bytes), group.slots(0)
    slot.input, slot.output = layout.views(slot, arena)
    assert slot.input.shape == (2, 1, 3, 1, 5)
    assert slot.output.shape == (2, 2, 3, 1, 5)
    slot.input[0, 0, 2, 0, :] = 7  # X 2 is the last column of tensors [Z, X]
    slot.n = 1
    request = layout.request(slot, SlotMemory(arena, None))
    assert request.shape == (1, 1, 5, 3)
    np.testing.assert_array_equal(np.asarray(request.source)[0, 0, :, 2], [7] * 5)
    layout.check_reply(InferReply((1, 2, 5, 3), "FP32", None), 1)
    scores = layout.scores(InferReply((1, 2, 5, 3), "FP32", np.arange(30, dtype=np.float32).reshape(1, 2, 5, 3)))
    assert scores[0, 1, 2, 0, 4] == 15 + 4 * 3 + 2
    slot.input = slot.output = None
    arena.close()


def test_requests_for_the_same_shared_memory_are_one_object() -> None:
    group = GroupLayout([model()], WindowSizes(WINDOW, 1, 2, 2), CHANNELS_FIRST)
    layout, (slot,), (other,) = group.layouts[0], group.slots(0), group.slots(1)
    arena = HostArena(2 * group.group_bytes)
    slot.n = other.n = 2
    first, second = (SlotMemory(arena, cast(Registration, SimpleNamespace(name=name))) for name in ("first", "second"))
    request = layout.request(slot, first)
    assert request.source == RegionSlice("first", slot.input_at, 2 * 60 * 4)
    assert request.sink == RegionSlice("first", slot.output_at, 2 * 2 * 60 * 4)
    assert layout.request(slot, first) is request
    assert layout.request(slot, second).source == RegionSlice("second", slot.input_at, 2 * 60 * 4)
    assert layout.request(other, first).source == RegionSlice("first", other.input_at, 2 * 60 * 4)
    slot.n = 1
    assert layout.request(slot, first).shape == (1, 1, *WINDOW)
    assert layout.request(slot, first).sink == RegionSlice("first", slot.output_at, 2 * 60 * 4)
    arena.close()


def test_a_fixed_batch_is_always_sent_whole() -> None:
    layout = SlotLayout(model(fixed_batch=True, max_batch=4), WINDOW, 1, 2, 2, CHANNELS_FIRST)
    assert layout.batch == 4
    assert layout.sent(1) == 4
    assert SlotLayout(model(), WINDOW, 1, 2, 2, CHANNELS_FIRST).sent(1) == 1


def test_a_reply_must_be_as_planned() -> None:
    layout = SlotLayout(model(), WINDOW, 1, 2, 2, CHANNELS_FIRST)
    layout.check_reply(InferReply((1, 2, *WINDOW), "FP32", None), 1)
    for reply in (InferReply((1, 1, *WINDOW), "FP32", None), InferReply((1, 2, *WINDOW), "FP16", None)):
        with pytest.raises(ModelError, match=r"expected FP32 \[1, 2, 3, 4, 5\]"):
            layout.check_reply(reply, 1)
