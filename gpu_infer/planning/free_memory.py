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
    """Free bytes on the host and on the GPU; None: not limited.

    resident  what this process held when they were measured; None: they are compared with what it holds by now
    """

    host: int | None = None
    device: int | None = None
    resident: int | None = None

    def with_resident(self) -> FreeMemory:
        """The same plus what this process holds: a memory plan counts interpreter and libraries again."""
        if self.host is None:
            return self
        return replace(self, host=self.host + (resident_bytes() if self.resident is None else self.resident))


UNLIMITED = FreeMemory()


def free_memory(backend: Backend) -> FreeMemory:
    """Free bytes for a run on `backend`, at the time of the call."""
    if backend.name == "gpu":
        return FreeMemory(host=free_host_bytes(), device=backend.free_bytes())
    return FreeMemory(host=backend.free_bytes())


def measure_again(backend: Backend, before: FreeMemory | None, most: int | None = None) -> FreeMemory:
    """Free bytes for a run of a session in which no other one is in work, beside what the process held at first.

    before  the first measure of the session, None: this is the first one. The GPU's bytes stay those of the first one
    most    bytes of the host that the process may have in all, None: what is free
    """
    now, resident = free_memory(backend), resident_bytes()
    # libraries that are imported after the plan are a part of the program, too
    base = resident + backend.bytes_to_load() if before is None or before.resident is None else before.resident
    host = now.host
    if host is not None:
        host = host + resident - base
        if most is not None:
            host = min(host, most - base)
    return FreeMemory(host, now.device if before is None else before.device, base)


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
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize()
