"""The memory plan: the bytes that a run needs at its peak, computed and logged before it starts.

A plan has two sides. On the CPU all arrays are on the host. With a GPU the host has the volume as read, the labels as
written, and slots without CUDA shared memory; the GPU has all other arrays. Each side is compared with its own free
bytes; `fallbacks.py` reduces a plan that does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.backends.base.backend import Backend
from gpu_infer.planning.sizes import Sizes

STAGING = 32 << 20
"""Bytes of the pinned buffer between host and GPU."""

TABLES = 32 << 20
"""Bytes on a GPU in addition to arrays of voxels: loaded kernels, tables, and the cost of rounding to pages."""

INLINE_COPIES = {"grpc": 5, "http": 3}
"""Copies of a slot's bytes in memory if voxels travel inside the requests: the message, its serialised form and the
library's buffers, in both directions. Measured maxima were 4.6 and 2.5."""


_IN_STRIPS = {
    "stored volume": "a strip of the stored volume, and labels to write",
    "prepared volume": "a strip, stored and prepared",
    "result on the model grid": "final labels",
    "labels on the file's grid": "blocks of the label file",
    "GPU: prepared volume": "GPU: a strip, stored and prepared",
    "GPU: result on the model grid": "GPU: final labels",
}
"""Other names of the parts of a plan, if windows are read strip by strip."""


@dataclass(frozen=True)
class Placement:
    """Where a run's arrays are.

    gpu             voxels are processed in a GPU's memory
    device_slots    slots are in the GPU's memory too (CUDA shared memory)
    message_copies  copies of every slot inside requests (`INLINE_COPIES`); 0 with shared memory
    lasting_slots   slots stay after the inference, for the next run of a session
    """

    gpu: bool = False
    device_slots: bool = False
    message_copies: int = 0
    lasting_slots: bool = False


ON_HOST = Placement()


def placement_of(
    backend: Backend, control: str = "grpc", data: str | None = None, *, lasting_slots: bool = False
) -> Placement:
    """Placement of a run on `backend` with the data transport `data` (None: the best that the backend allows)."""
    gpu = backend.name == "gpu"
    return Placement(
        gpu=gpu,
        device_slots=gpu and data in (None, "cuda_shm"),
        message_copies=INLINE_COPIES[control] if data == "inline" else 0,
        lasting_slots=lasting_slots,
    )


@dataclass(frozen=True)
class Knobs:
    """What fallbacks may change. Labels do not depend on it.

    slots      requests in flight
    batch      windows per request
    slab       the accumulator has only the rows that one window covers along the slab axis
    host_sums  on a GPU: windows are blended, or labels collected, on the host
    spare      memory for a second arena after a lost connection; only with shared memory, since the server may still
               write to the first one
    half       maps of probabilities wait in float16 until they are written
    strips     windows are read from the file, and labels written to it, strip by strip; the sizes are those of strips
    """

    slots: int
    batch: int
    slab: bool
    host_sums: bool = False
    spare: bool = False
    half: bool = False
    strips: bool = False


@dataclass(frozen=True)
class MemoryPlan:
    """The memory that a run needs, computed from sizes, placement and knobs. All results are bytes."""

    sizes: Sizes
    placement: Placement
    knobs: Knobs

    @property
    def slot_bytes(self) -> int:
        """One slot: the windows of a request, in and out."""
        return self._slot_windows * self.sizes.window

    @property
    def arena_bytes(self) -> int:
        """The memory of all slots."""
        return self.knobs.slots * self.slot_bytes

    @property
    def sent_bytes(self) -> int:
        """The windows of a slot in all requests that carry them, in and out; each model of an ensemble gets one."""
        return self._slot_windows * (self.sizes.requests or self.sizes.window)

    @property
    def spare_bytes(self) -> int:
        """A second arena; 0 with inline data, because the server never writes to such slots."""
        return self.arena_bytes if self.knobs.spare and not self.placement.message_copies else 0

    @property
    def device_arena_bytes(self) -> int:
        """The part of `device_peak` that is registered with the server: the arena and the spare one."""
        return self.arena_bytes + self.spare_bytes if self.placement.gpu and self.placement.device_slots else 0

    @property
    def message_bytes(self) -> int:
        """Copies of the slots inside requests."""
        return self.placement.message_copies * self.knobs.slots * self.sent_bytes

    @property
    def sums_bytes(self) -> int:
        """The accumulator, with the slab or without; or what a custom inferer has."""
        if self.sizes.own is not None:
            return self.sizes.own
        return self.sizes.slab_accumulator if self.knobs.slab else self.sizes.full_accumulator

    @property
    def scores_bytes(self) -> int:
        """The maps of probabilities on the model's grid."""
        return self.sizes.scores // 2 if self.knobs.half else self.sizes.scores

    @property
    def host_peak(self) -> int:
        """Peak of the host: the largest of inference, restore, statistics, transforms, and the writing of other files.

        The stored volume counts in all of them, because the publish folder and the preview need it. Maps of scores
        count from the inference on.
        """
        sizes, slots, lasting = self.sizes, self._host_slots, self._lasting(self._host_slots)
        files = sizes.output + max(sizes.dicom, sizes.own_files)
        if not self.placement.gpu:
            infer = sizes.prepared + slots + self.message_bytes + sizes.importance + self.sums_bytes + sizes.result
            infer += sizes.scores_finalize - lasting
            write = sizes.output + sizes.scores_restore + sizes.scores_write
            restore = max(sizes.result + sizes.output, sizes.computed + self._host_statistics)
            most = max(infer, restore, sizes.transforms, files, write if sizes.scores else 0)
            return self._program_bytes + sizes.stored + self.scores_bytes + lasting + most
        infer = self.message_bytes + sizes.importance + slots - lasting
        result = 0
        if self.knobs.host_sums:
            result = sizes.result
            infer += self.sums_bytes + result + (self.slot_bytes if self.placement.device_slots else 0)
            infer += self.scores_bytes + sizes.scores_finalize
            result += self.scores_bytes
        restore = max(result + sizes.output, sizes.computed + self._host_statistics)
        write = sizes.output + sizes.scores_write
        if self.knobs.host_sums:
            write += self.scores_bytes + sizes.scores_restore
        return self._program_bytes + sizes.stored + lasting + max(infer, restore, write, files, sizes.host_filters)

    @property
    def slots_fit_early(self) -> bool:
        """Whether the slots can be on the host while the volume is read and prepared, without a higher peak."""
        sizes = self.sizes
        early = self._program_bytes + sizes.stored + sizes.transforms + self.arena_bytes
        return not self.placement.gpu and early <= self.host_peak

    @property
    def device_peak(self) -> int:
        """Peak of the GPU, 0 on the CPU: the largest of prepare, inference, restore, statistics and transforms."""
        if not self.placement.gpu:
            return 0
        sizes, lasting = self.sizes, self._lasting(self.device_arena_bytes)
        infer = sizes.prepared + (self.device_arena_bytes - lasting if self.placement.device_slots else self.slot_bytes)
        infer += sizes.result  # also if it is made on the host: it is uploaded while slots and input are there
        if not self.knobs.host_sums:
            infer += sizes.importance + self.sums_bytes + self.scores_bytes + sizes.scores_finalize
        scores = 0 if self.knobs.host_sums else self.scores_bytes
        uploaded = 0 if self.knobs.strips else sizes.stored  # a strip is part of `prepared`
        prepare, restore = uploaded + sizes.prepared, sizes.result + sizes.computed
        write = 0 if self.knobs.host_sums else sizes.scores_restore
        statistics = sizes.computed + sizes.statistics
        return TABLES + lasting + max(prepare, infer, scores + max(restore, statistics, sizes.transforms, write))

    @property
    def volume_bytes(self) -> int:
        """What the case has on the host before and after its turn on the backend: the volume, its labels, its files."""
        return self.sizes.stored + self.sizes.output + max(self.sizes.dicom, self.sizes.own_files)

    def lines(self) -> list[str]:
        """One line for each part of the plan with its size, and one for the peak; the host's first, then the GPU's."""
        if not self.placement.gpu:
            rows = {**self._host_parts(), "peak": self.host_peak}
        else:
            host = {**self._host_parts(), "host peak": self.host_peak}
            rows = {**host, **self._device_parts(), "GPU peak": self.device_peak}
        if self.knobs.strips:
            rows = {_IN_STRIPS.get(name, name): size for name, size in rows.items()}
        width = max(map(len, rows))
        return [f"{name:<{width}}  {size / 2**20:10.1f} MiB" for name, size in rows.items()]

    def _host_parts(self) -> dict[str, int]:
        sizes, gpu, device_slots = self.sizes, self.placement.gpu, self.placement.device_slots
        sums_here = not gpu or self.knobs.host_sums
        return {
            "program and libraries": self._program_bytes,
            "stored volume": sizes.stored,
            **({} if gpu else {"prepared volume": sizes.prepared}),
            **({} if device_slots else {self._slots_label: self.arena_bytes}),
            **({} if device_slots else self._spare_part()),
            **({"requests with voxels in them": self.message_bytes} if self.message_bytes else {}),
            **({"a slot's scores on the host": self.slot_bytes} if self.knobs.host_sums and device_slots else {}),
            **({self._sums_label: self.sums_bytes} if sums_here else {}),
            **({"importance map": sizes.importance} if sizes.importance else {}),
            **({"result on the model grid": sizes.result} if sums_here else {}),
            **(self._scores_parts() if sums_here else {}),
            "labels on the file's grid": sizes.output,
            **({"DICOM files": sizes.dicom} if sizes.dicom else {}),
            **({"custom writers": sizes.own_files} if sizes.own_files else {}),
            **({"statistics of labels": self._host_statistics} if sizes.statistics else {}),
            **({} if gpu else {"largest transform": sizes.transforms}),
            **({"filters on the host": sizes.host_filters} if sizes.host_filters else {}),
        }

    def _device_parts(self) -> dict[str, int]:
        sizes, device_slots = self.sizes, self.placement.device_slots
        sums_here = not self.knobs.host_sums
        parts = {
            "kernels and tables": TABLES,
            **({} if self.knobs.strips else {"uploaded volume": sizes.stored}),
            "prepared volume": sizes.prepared,
            (self._slots_label if device_slots else "a slot on its way"): (
                self.arena_bytes if device_slots else self.slot_bytes
            ),
            **(self._spare_part() if device_slots else {}),
            **({self._sums_label: self.sums_bytes} if sums_here else {}),
            **({"importance map": sizes.importance} if sums_here and sizes.importance else {}),
            "result on the model grid": sizes.result,
            **(self._scores_parts() if sums_here else {}),
            **({} if self.knobs.strips else {"labels on the file's grid": sizes.computed}),
            **({"statistics of labels": sizes.statistics} if sizes.statistics else {}),
            "largest transform": sizes.transforms,
        }
        return {f"GPU: {name}": size for name, size in parts.items()}

    def _scores_parts(self) -> dict[str, int]:
        if not self.sizes.scores:
            return {}
        precision = "float16" if self.knobs.half else "float32"
        return {
            f"probabilities on the model grid ({precision})": self.scores_bytes,
            "scores that become probabilities": self.sizes.scores_finalize,
            "a slab of probabilities on the file's grid": self.sizes.scores_restore,
        }

    def _spare_part(self) -> dict[str, int]:
        return {"spare slots, after a lost connection": self.spare_bytes} if self.spare_bytes else {}

    @property
    def _host_slots(self) -> int:
        device_slots = self.placement.gpu and self.placement.device_slots
        return 0 if device_slots else self.arena_bytes + self.spare_bytes

    def _lasting(self, slots: int) -> int:
        """The part of `slots` that stays after the inference."""
        return slots if self.placement.lasting_slots else 0

    @property
    def _host_statistics(self) -> int:
        """The host has a copy of the GPU's tables, or one for each thread."""
        return self.sizes.statistics + (0 if self.placement.gpu else self.sizes.table_copies)

    @property
    def _program_bytes(self) -> int:
        return self.sizes.program + (STAGING if self.placement.gpu else 0)

    @property
    def _slot_windows(self) -> int:
        return self.sizes.fixed_batch or self.knobs.batch

    @property
    def _slots_label(self) -> str:
        return f"slots ({self.knobs.slots} × {self._slot_windows} tiles)"

    @property
    def _sums_label(self) -> str:
        if self.sizes.own is not None:
            return "custom inferer"
        if self.knobs.strips:
            return "accumulator (strips)"
        return f"accumulator ({'slab' if self.knobs.slab else 'whole grid'})"
