"""The steps down from a memory plan that does not fit, in their order, each with the words that are logged for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gpu_infer.errors import ResourceError
from gpu_infer.planning.memory_plan import Load

GIB = float(1 << 30)

Step = tuple[str, Load]


def degrade(load: Load, host: int | None, device: int | None = None) -> tuple[Load, list[str]]:
    """Step down until both sides fit into their free bytes (None: not limited); each step is named.

    CPU: slab on, no spare slots, fewer slots, smaller batches. GPU: no spare slots, fewer slots, smaller batches, slab
    on, accumulator on the host. A step that would not lower a peak that is too high is left out. Labels do not depend
    on any of them.

    Raises ResourceError when none is left.
    """
    taken: list[str] = []
    while short := _short(load, host, device):
        lighter = next((step for step in _steps(load) if _helps(load, step[1], short)), None)
        if lighter is None:
            raise _refusal(load, short)
        name, load = lighter
        taken.append(f"memory: {_said(short)}: {name}")
    return load, taken


def _steps(load: Load) -> Iterator[Step]:
    """What may still be given up, in order."""
    slab = [] if load.slab else [("slab accumulator switched on", replace(load, slab=True))]
    if not load.gpu:
        yield from slab
    if load.spare_arena:
        yield "no spare slots, so that a lost connection ends the run", replace(load, spare=False)
    if load.slots > 1:
        yield f"slots {load.slots} → {load.slots - 1}", replace(load, slots=load.slots - 1)
    if load.batch > 1:
        yield f"batch {load.batch} → {load.batch // 2}", replace(load, batch=load.batch // 2)
    if load.gpu:
        yield from slab
        if not load.host_sums:
            yield "accumulator on the host", replace(load, host_sums=True)


@dataclass(frozen=True)
class _Shortage:
    side: str  # "host" or "GPU"; "" on the CPU, where there is one side
    peak: int
    free: int


def _short(load: Load, host: int | None, device: int | None) -> list[_Shortage]:
    """The sides whose peak does not fit."""
    found = []
    if host is not None and load.peak > host:
        found.append(_Shortage("host" if load.gpu else "", load.peak, host))
    if device is not None and load.device_peak > device:
        found.append(_Shortage("GPU", load.device_peak, device))
    return found


def _helps(load: Load, lighter: Load, short: list[_Shortage]) -> bool:
    return any(
        lighter.device_peak < load.device_peak if shortage.side == "GPU" else lighter.peak < load.peak
        for shortage in short
    )


def _said(short: list[_Shortage]) -> str:
    return "; ".join(
        f"{s.side + ' ' if s.side else ''}{s.peak / GIB:.1f} GiB planned, {s.free / GIB:.1f} GiB free" for s in short
    )


def _refusal(load: Load, short: list[_Shortage]) -> ResourceError:
    worst = short[0]
    where = {"": "", "host": " of the host's memory", "GPU": " of the GPU's memory"}[worst.side]
    slots = f"{load.slots} slot{'s' if load.slots > 1 else ''}"
    lighter = "use a model with a smaller roi or fewer classes"
    return ResourceError(
        f"volume and model need {worst.peak / GIB:.1f} GiB{where} at the peak with {slots} and batch {load.batch}, "
        f"{worst.free / GIB:.1f} GiB are free",
        remedy=f"free the GPU of other programs, {lighter}, or run with --device cpu"
        if worst.side == "GPU"
        else f"give the container more memory, or {lighter}",
    )
