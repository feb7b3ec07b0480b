"""What the GPU backend did in a run; the report prints it, and it proves that voxels crossed the bus twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class DeviceCounters:
    """Counts since the backend was created, or since `GpuBackend.start_run`.

    bytes_up, bytes_down            voxels of `upload` and `download`: the stored volume, the labels; if memory was so
                                    short that sums are taken on the host, scores down and the result up as well
    bytes_up_early                  of bytes_up, those that were copied while the volume was read
    tile_bytes_up, tile_bytes_down  windows in slots of host memory, which only exist without CUDA shared memory
    table_bytes                     tables up, counts down: what a kernel needs in addition to voxels
    launches                        kernels started
    …_before                        totals of allocations, compiled and loaded modules when counting began

    The summary adds allocations (calls of cudaMalloc), kernels_compiled (modules, by NVRTC) and modules_loaded; the
    backend adds peak_device_bytes, and tied_voxels with the tie_band in which they are: a report has null for them
    if what decides labels does not count them (a threshold after other work on scores, sums on the host).
    """

    bytes_up: int = 0
    bytes_up_early: int = 0
    bytes_down: int = 0
    tile_bytes_up: int = 0
    tile_bytes_down: int = 0
    table_bytes: int = 0
    launches: int = 0
    allocations_before: int = 0
    compiled_before: int = 0
    loaded_before: int = 0

    def summary(self, allocations: int, compiled: int, loaded: int) -> dict[str, int]:
        """The counts by name, from the totals of memory and kernels."""
        counted = {name: count for name, count in vars(self).items() if not name.endswith("_before")}
        return {
            **counted,
            "allocations": allocations - self.allocations_before,
            "kernels_compiled": compiled - self.compiled_before,
            "modules_loaded": loaded - self.loaded_before,
        }
