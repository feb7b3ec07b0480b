"""How much memory is free for a run, on the host and on the GPU."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ResourceError
from gpu_infer.system.host_memory import free_host_bytes


@dataclass(frozen=True)
class FreeMemory:
    """Free bytes on the host and on the GPU; None: not limited."""

    host: int | None = None
    device: int | None = None

    def with_resident(self) -> FreeMemory:
        """The same plus what this process holds by now: a memory plan counts interpreter and libraries again."""
        return self if self.host is None else replace(self, host=self.host + resident_bytes())


UNLIMITED = FreeMemory()


def free_memory(backend: Backend) -> FreeMemory:
    """Free bytes for a run on `backend`, at the time of the call."""
    if backend.name == "gpu":
        return FreeMemory(host=free_host_bytes(), device=backend.free_bytes())
    return FreeMemory(host=backend.free_bytes())


def check_stored(nbytes: int, path: Path) -> None:
    """Raise ResourceError if the voxels of `path` alone, `nbytes`, are more than the host has free."""
    free = free_host_bytes()
    if nbytes > free:
        raise ResourceError(
            f"{path}: its voxels take {nbytes / 2**20:.1f} MiB, {free / 2**20:.1f} MiB of memory are free",
            remedy="give the process more memory (a container's limit), or crop the volume",
        )


def resident_bytes() -> int:
    """Memory of this process by now (resident set size)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
