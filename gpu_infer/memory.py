"""The memory plan: what a run will hold at its peak, printed before it starts, and the steps down from there."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import ResourceError

GIB = float(1 << 30)

KERNELS = 192 << 20
"""Bytes for what a run loads after the plan: compiled kernels, and the compiler where they are not cached yet."""

INLINE_COPIES = {"grpc": 5, "http": 3}
"""Times that a slot's bytes lie in memory once more where voxels travel inside the requests: message, its serialised
form and the library's buffers, both ways. At most 4.6 and 2.5 were seen."""


@dataclass(frozen=True)
class Load:
    """What decides the peak, all in bytes but for the knobs.

    program      interpreter, libraries and compiled kernels
    importance   weights of one window's voxels; the accumulator holds their sums where a mean is taken
    stored       the volume as read            prepared     the model's input grid
    tile         one window in and out         accumulator  with the slab; full_accumulator without
    result       labels or scores on the model grid
    output       labels on the file's grid, as computed and as written
    chains       the largest stage of the pre- and post-transforms
    copies       of every slot that its requests hold, 0 with shared memory
    """

    stored: int
    prepared: int
    tile: int
    accumulator: int
    full_accumulator: int
    result: int
    output: int
    slots: int
    batch: int
    slab: bool
    copies: int = 0
    program: int = 0
    chains: int = 0
    importance: int = 0

    @property
    def arena(self) -> int:
        return self.slots * self.batch * self.tile

    @property
    def messages(self) -> int:
        return self.copies * self.arena

    @property
    def peak(self) -> int:
        """The largest of inference, restore and transforms; the stored volume is kept for publishing."""
        sums = self.accumulator if self.slab else self.full_accumulator
        infer = self.prepared + self.arena + self.messages + self.importance + sums + self.result
        restore = self.result + self.output
        return self.program + self.stored + max(infer, restore, self.chains)

    def lines(self) -> list[str]:
        sums = self.accumulator if self.slab else self.full_accumulator
        parts = {
            "program and libraries": self.program,
            "stored volume": self.stored,
            "prepared volume": self.prepared,
            f"slots ({self.slots} × {self.batch} tiles)": self.arena,
            **({"requests with voxels in them": self.messages} if self.messages else {}),
            f"accumulator ({'slab' if self.slab else 'whole grid'})": sums,
            **({"importance map": self.importance} if self.importance else {}),
            "result on the model grid": self.result,
            "labels on the file's grid": self.output,
            "largest transform": self.chains,
        }
        width = max(map(len, parts))
        rows = [f"{name:<{width}}  {size / 2**20:10.1f} MiB" for name, size in parts.items()]
        return [*rows, f"{'peak':<{width}}  {self.peak / 2**20:10.1f} MiB"]


def degrade(load: Load, free: int) -> tuple[Load, list[str]]:
    """Step down until the peak fits into `free` bytes; each step is named. Raises ResourceError when none is left.

    Labels do not depend on any of the steps: slab on, fewer slots, smaller batches.
    """
    steps: list[str] = []

    def step(name: str, lighter: Load) -> Load:
        steps.append(f"memory: {load.peak / GIB:.1f} GiB planned, {free / GIB:.1f} GiB free: {name}")
        return lighter

    if load.peak > free and not load.slab:
        load = step("slab accumulator switched on", replace(load, slab=True))
    while load.peak > free and load.slots > 1:
        load = step(f"slots {load.slots} → {load.slots - 1}", replace(load, slots=load.slots - 1))
    while load.peak > free and load.batch > 1:
        load = step(f"batch {load.batch} → {load.batch // 2}", replace(load, batch=load.batch // 2))
    if load.peak > free:
        raise ResourceError(
            f"volume and model need {load.peak / GIB:.1f} GiB at the peak with 1 slot and batch 1, "
            f"{free / GIB:.1f} GiB are free",
            remedy="give the container more memory, or use a model with a smaller roi or fewer classes",
        )
    return load, steps


def resident_bytes() -> int:
    """Memory that this process holds now (resident set size)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
