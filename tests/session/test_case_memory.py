"""Memory of several cases at a time, with sizes worked by hand."""

from __future__ import annotations

import threading
import time

from gpu_infer.planning.memory_plan import Knobs, MemoryPlan, Placement
from gpu_infer.planning.sizes import Sizes
from gpu_infer.session.case_memory import CaseMemory, needed_bytes

MIB = 1 << 20


def plan(stored: int = 100, output: int = 50, sums: int = 300, window: int = 10, **sizes: int) -> MemoryPlan:
    """Sizes in MiB: the peak is program 200 + stored + prepared 40 + 2 slots × 2 windows + sums + result 20."""
    all_sizes = {"stored": stored, "output": output, "slab_accumulator": sums, "window": window, "prepared": 40} | sizes
    values = {name: size * MIB for name, size in all_sizes.items()}
    return MemoryPlan(
        Sizes(full_accumulator=1 << 40, result=20 * MIB, program=200 * MIB, **values),
        Placement(),
        Knobs(slots=2, batch=2, slab=True),
    )


def test_every_volume_counts_and_the_largest_need_beside_one() -> None:
    small, large = plan(), plan(stored=500, sums=800)
    assert small.host_peak == (200 + 100 + 40 + 40 + 300 + 20) * MIB
    assert small.volume_bytes == 150 * MIB
    assert needed_bytes([small]) == small.host_peak
    assert needed_bytes([small, small, small]) == small.host_peak + 2 * small.volume_bytes
    assert needed_bytes([small, large]) == large.host_peak + small.volume_bytes


def test_slots_that_last_count_beside_labels() -> None:
    """Restoring needs more than the inference without its slots: then lasting slots add to the peak."""
    one = plan(sums=10, output=400)
    assert one.host_peak == (200 + 100 + 20 + 400) * MIB
    lasting = MemoryPlan(one.sizes, Placement(lasting_slots=True), one.knobs)
    assert lasting.host_peak == one.host_peak + 40 * MIB
    infers = plan(sums=3000)
    assert MemoryPlan(infers.sizes, Placement(lasting_slots=True), infers.knobs).host_peak == infers.host_peak


def test_lasting_slots_of_a_gpu_count_on_their_side() -> None:
    one = plan(sums=10, output=400, computed=400)
    plans = [
        MemoryPlan(one.sizes, Placement(gpu=True, device_slots=True, lasting_slots=lasting), one.knobs)
        for lasting in (False, True)
    ]
    assert plans[1].device_peak - plans[0].device_peak == 40 * MIB
    assert plans[1].host_peak == plans[0].host_peak
    on_host = [
        MemoryPlan(one.sizes, Placement(gpu=True, lasting_slots=lasting), one.knobs) for lasting in (False, True)
    ]
    assert on_host[1].host_peak - on_host[0].host_peak == 40 * MIB
    assert on_host[1].device_peak == on_host[0].device_peak


def test_a_case_waits_until_it_fits() -> None:
    memory, one, order = CaseMemory(), plan(), []
    limit = needed_bytes([one, one])
    release = threading.Event()

    def work(name: str) -> None:
        with memory.admit(one, limit):
            order.append(name)
            if name != "third":
                release.wait(10)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second", "third")]
    for thread in threads:
        thread.start()
        while len(order) < min(2, threads.index(thread) + 1):
            time.sleep(0.01)
    time.sleep(0.3)
    assert order == ["first", "second"]
    assert memory.in_work == 2
    release.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second", "third"]
    assert memory.in_work == 0


def test_a_case_alone_is_admitted_whatever_it_needs() -> None:
    memory = CaseMemory()
    with memory.admit(plan(), limit=1):
        assert memory.in_work == 1
    with memory.admit(plan(), limit=None), memory.admit(plan(), limit=None):
        assert memory.in_work == 2
