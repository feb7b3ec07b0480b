"""Where the card has just what was planned: what is planned fits, whatever earlier cases have left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

MIB = 1 << 20
GIB = 1 << 30


@pytest.mark.parametrize("spare", [0, 1, 2, 3])
def test_a_block_that_rounds_past_what_is_free_leaves_no_gaps(spare: int) -> None:
    """95.5 MiB become 96, with which the plan's 288 MiB are half a MiB too many: arrays must not share pieces then
    either, else the first takes 256 MiB and the block no longer fits."""
    with simulated_cupy(capacity=(288 + spare) * MIB) as module:
        gpu = module.GpuBackend()
        beside = 95 * MIB + MIB // 2
        gpu.reserve(288 * MIB - beside, beside=beside)
        uploaded = gpu.empty((64 * MIB,), np.uint8)
        tables = [gpu.empty((1000,), np.float32) for _ in range(20)]
        block = gpu.device_arena(beside)
        prepared = gpu.empty((118 * MIB,), np.uint8)
        assert block.nbytes == 96 * MIB
        assert uploaded.size + prepared.size + sum(t.nbytes for t in tables) <= 192 * MIB
        block.close()


@pytest.mark.parametrize("first", ["arrays", "block"])
def test_a_larger_idle_block_does_not_take_the_place_of_the_arrays(first: str) -> None:
    """4 GiB wait from an earlier case and count as free: the 2.1 GiB of this case must not take all of them, since
    3 GiB of arrays in a card of 6 do not fit beside that."""
    with simulated_cupy(capacity=6 * GIB) as module:
        gpu = module.GpuBackend()
        gpu.device_arena(4 * GIB).close()
        needed, arrays = int(2.1 * GIB), 3 * GIB
        gpu.reserve(arrays, beside=needed)

        def take(what: str) -> Any:
            return gpu.device_arena(needed) if what == "block" else gpu.empty((arrays,), np.uint8)

        one = take(first)
        other = take("arrays" if first == "block" else "block")
        block = one if first == "block" else other
        assert needed <= block.nbytes < needed + 2 * MIB
        block.close()


def test_a_larger_idle_block_is_used_where_the_plan_fits_beside_it() -> None:
    with simulated_cupy(capacity=6 * GIB) as module:
        gpu = module.GpuBackend()
        block = gpu.device_arena(GIB)
        handle = block.ipc_handle
        block.close()
        gpu.reserve(GIB, beside=GIB // 2)
        again = gpu.device_arena(GIB // 2)
        assert again.ipc_handle == handle
        held = gpu.empty((GIB // 2,), np.uint8)
        more = gpu.device_arena(GIB // 2)  # beside what is in use already
        assert held.size + more.nbytes == GIB
        again.close()
        more.close()
