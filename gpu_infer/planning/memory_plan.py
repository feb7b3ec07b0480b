"""The memory plan: what a run will hold at its peak, printed before it starts; `degrade.py` has the steps down from it.

A plan has two sides. On the CPU everything lies on the host. On a GPU the host keeps what was read, what is written and
slots without CUDA shared memory; the device holds the rest. Each side is held against its own free bytes.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

KERNELS = 192 << 20
"""Bytes for what a run loads after the plan: compiled kernels, and the compiler where they are not cached yet."""

STAGING = 32 << 20
"""Bytes of the pinned buffer between host and GPU."""

TABLES = 32 << 20
"""Bytes on a GPU beside the arrays of voxels: loaded kernels, tables, and what rounding to pages costs."""

INLINE_COPIES = {"grpc": 5, "http": 3}
"""Times that a slot's bytes lie in memory once more where voxels travel inside the requests: message, its serialised
form and the library's buffers, both ways. At most 4.6 and 2.5 were seen."""


@dataclass(frozen=True)
class Room:
    """Where a run's arrays lie, and the bytes that are free there (None: not limited).

    gpu           voxels are worked on in a GPU's memory
    device_slots  slots lie there too (CUDA shared memory)
    copies        of every slot that its requests hold (`INLINE_COPIES`), 0 with shared memory
    """

    host: int | None = None
    device: int | None = None
    gpu: bool = False
    device_slots: bool = False
    copies: int = 0


@dataclass(frozen=True)
class Load:
    """What decides the peak, all in bytes but for the knobs.

    program      interpreter, libraries and compiled kernels
    importance   weights of one window's voxels; the accumulator holds their sums where a mean is taken
    stored       the volume as read            prepared     the model's input grid
    tile         one window in and out         accumulator  with the slab; full_accumulator without
    result       labels or scores on the model grid
    output       labels on the file's grid, as computed (`computed`, which the GPU holds as well) and as written
    chains       the largest stage of the pre- and post-transforms
    copies       of every slot that its requests hold, 0 with shared memory
    full_batch   windows that a slot holds whatever the batch, where the model's batch axis is fixed; else 0
    host_sums    on a GPU: windows are blended on the host
    spare        there is room for a second set of slots, which is made after a lost connection (shared memory only:
                 the server may still write to the first one)
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
    computed: int = 0
    full_batch: int = 0
    gpu: bool = False
    device_slots: bool = False
    host_sums: bool = False
    spare: bool = False

    @property
    def slot(self) -> int:
        """One slot: the windows of a request, in and out."""
        return (self.full_batch or self.batch) * self.tile

    @property
    def arena(self) -> int:
        return self.slots * self.slot

    @property
    def spare_arena(self) -> int:
        """A second arena; 0 with inline data, whose slots the server never writes to."""
        return self.arena if self.spare and not self.copies else 0

    @property
    def messages(self) -> int:
        return self.copies * self.arena

    @property
    def sums(self) -> int:
        """The accumulator as it will be made."""
        return self.accumulator if self.slab else self.full_accumulator

    @property
    def peak(self) -> int:
        """Of the host: the largest of inference, restore and transforms; the stored volume is kept for publishing."""
        if not self.gpu:
            slots = self.arena + self.spare_arena + self.messages
            infer = self.prepared + slots + self.importance + self.sums + self.result
            return self.program + self.stored + max(infer, self.result + self.output, self.chains)
        infer = self.messages + self.importance + (0 if self.device_slots else self.arena + self.spare_arena)
        result = 0
        if self.host_sums:
            result = self.result
            infer += self.sums + result + (self.slot if self.device_slots else 0)
        return self.program + self.stored + max(infer, result + self.output)

    @property
    def device_peak(self) -> int:
        """Of the GPU, 0 on the CPU: the largest of prepare, inference, restore and transforms."""
        if not self.gpu:
            return 0
        infer = self.prepared + (self.device_block if self.device_slots else self.slot)
        if not self.host_sums:
            infer += self.importance + self.sums + self.result
        return TABLES + max(self.stored + self.prepared, infer, self.result + self.computed, self.chains)

    @property
    def device_block(self) -> int:
        """The part of `device_peak` in blocks that are registered with the server: the arena, and the spare one."""
        return self.arena + self.spare_arena if self.gpu and self.device_slots else 0

    def lines(self) -> list[str]:
        """Every part of the plan with its size, and the peak; of a run on a GPU the host's first, then the GPU's."""
        if not self.gpu:
            rows = {**self._host_parts(), "peak": self.peak}
        else:
            host = {**self._host_parts(), "host peak": self.peak}
            rows = {**host, **self._device_parts(), "GPU peak": self.device_peak}
        width = max(map(len, rows))
        return [f"{name:<{width}}  {size / 2**20:10.1f} MiB" for name, size in rows.items()]

    def _host_parts(self) -> dict[str, int]:
        here = not self.gpu or self.host_sums
        return {
            "program and libraries": self.program,
            "stored volume": self.stored,
            **({} if self.gpu else {"prepared volume": self.prepared}),
            **({} if self.device_slots else {self._slots_name: self.arena}),
            **({} if self.device_slots else self._spare_parts()),
            **({"requests with voxels in them": self.messages} if self.messages else {}),
            **({"a slot's scores on the host": self.slot} if self.host_sums and self.device_slots else {}),
            **({self._sums_name: self.sums} if here else {}),
            **({"importance map": self.importance} if self.importance else {}),
            **({"result on the model grid": self.result} if here else {}),
            "labels on the file's grid": self.output,
            **({} if self.gpu else {"largest transform": self.chains}),
        }

    def _device_parts(self) -> dict[str, int]:
        here = not self.host_sums
        parts = {
            "kernels and tables": TABLES,
            "uploaded volume": self.stored,
            "prepared volume": self.prepared,
            (self._slots_name if self.device_slots else "a slot on its way"): (
                self.arena if self.device_slots else self.slot
            ),
            **(self._spare_parts() if self.device_slots else {}),
            **({self._sums_name: self.sums} if here else {}),
            **({"importance map": self.importance} if here and self.importance else {}),
            "result on the model grid": self.result,
            "labels on the file's grid": self.computed,
            "largest transform": self.chains,
        }
        return {f"GPU: {name}": size for name, size in parts.items()}

    def _spare_parts(self) -> dict[str, int]:
        return {"spare slots, after a lost connection": self.spare_arena} if self.spare_arena else {}

    @property
    def _slots_name(self) -> str:
        return f"slots ({self.slots} × {self.full_batch or self.batch} tiles)"

    @property
    def _sums_name(self) -> str:
        return f"accumulator ({'slab' if self.slab else 'whole grid'})"


def resident_bytes() -> int:
    """Memory that this process holds now (resident set size)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
