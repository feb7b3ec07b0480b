"""Fallbacks: the steps that reduce a memory plan that does not fit, in their order, each with its log line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gpu_infer.errors import ResourceError
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.memory_plan import Knobs, MemoryPlan

GIB = float(1 << 30)


def fit_memory(plan: MemoryPlan, free: FreeMemory) -> tuple[MemoryPlan, list[str]]:
    """Apply fallbacks until both sides of `plan` fit into `free`: the reduced plan, and one line for each fallback.

    A fallback is skipped if it would not lower a peak that is too high. Labels do not depend on fallbacks.

    Raises ResourceError if none is left.
    """
    lines: list[str] = []
    while shortages := _shortages(plan, free):
        candidates = ((words, replace(plan, knobs=knobs)) for words, knobs in fallbacks(plan))
        fallback = next((pair for pair in candidates if _helps(plan, pair[1], shortages)), None)
        if fallback is None:
            raise _refusal(plan, shortages[0])
        words, plan = fallback
        lines.append(f"memory: {_format_shortages(shortages)}: {words}")
    return plan, lines


def fallbacks(plan: MemoryPlan) -> Iterator[tuple[str, Knobs]]:
    """Yield every single step from `plan` to a lighter one: the words of its log line, and the new knobs.

    CPU: slab on, no spare slots, fewer slots, smaller batches. GPU: no spare slots, fewer slots, smaller batches, slab
    on, accumulator on the host. With --scores or --uncertainty, both at last: probabilities in float16. A custom
    inferer has no accumulator.
    """
    knobs, gpu = plan.knobs, plan.placement.gpu
    slab = [] if knobs.slab or knobs.strips else [("slab accumulator switched on", replace(knobs, slab=True))]
    if not gpu:
        yield from slab
    if plan.spare_bytes:
        yield "no spare slots, so that a lost connection ends the run", replace(knobs, spare=False)
    if knobs.slots > 1:
        yield f"slots {knobs.slots} → {knobs.slots - 1}", replace(knobs, slots=knobs.slots - 1)
    if knobs.batch > 1:
        yield f"batch {knobs.batch} → {knobs.batch // 2}", replace(knobs, batch=knobs.batch // 2)
    if gpu:
        yield from slab
        if not knobs.host_sums and not knobs.strips and plan.sizes.own is None:
            yield "accumulator on the host", replace(knobs, host_sums=True)
    if plan.sizes.scores and not knobs.half:
        yield "probabilities wait in float16, rounded to 11 bits", replace(knobs, half=True)


@dataclass(frozen=True)
class _Shortage:
    """A side whose peak does not fit: "host" or "GPU"; "" on the CPU, where there is one side."""

    side: str
    peak: int
    free: int


def _shortages(plan: MemoryPlan, free: FreeMemory) -> list[_Shortage]:
    shortages = []
    if free.host is not None and plan.host_peak > free.host:
        shortages.append(_Shortage("host" if plan.placement.gpu else "", plan.host_peak, free.host))
    if free.device is not None and plan.device_peak > free.device:
        shortages.append(_Shortage("GPU", plan.device_peak, free.device))
    return shortages


def _helps(plan: MemoryPlan, lighter: MemoryPlan, shortages: list[_Shortage]) -> bool:
    return any(
        lighter.device_peak < plan.device_peak if shortage.side == "GPU" else lighter.host_peak < plan.host_peak
        for shortage in shortages
    )


def _format_shortages(shortages: list[_Shortage]) -> str:
    return "; ".join(
        f"{s.side + ' ' if s.side else ''}{s.peak / GIB:.1f} GiB planned, {s.free / GIB:.1f} GiB free"
        for s in shortages
    )


def _refusal(plan: MemoryPlan, shortage: _Shortage) -> ResourceError:
    where = {"": "", "host": " of the host's memory", "GPU": " of the GPU's memory"}[shortage.side]
    slots = f"{plan.knobs.slots} slot{'s' if plan.knobs.slots > 1 else ''}"
    lighter = "use a model with a smaller roi or fewer classes"
    if plan.sizes.scores:
        lighter = f"write --scores of fewer labels, {lighter}"
    return ResourceError(
        f"volume and model need {shortage.peak / GIB:.1f} GiB{where} at the peak with {slots} and batch "
        f"{plan.knobs.batch}, {shortage.free / GIB:.1f} GiB are free",
        remedy=f"free the GPU of other programs, {lighter}, or run with --device cpu"
        if shortage.side == "GPU"
        else f"give the container more memory, or {lighter}",
    )
