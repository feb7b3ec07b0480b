"""What a killed process left behind: regions on the server and segments in /dev/shm.

A file /dev/shm/gpu_infer-<pid>-<random> that nobody holds the lock of (see `naming`) has lost its owner, and
so has the region of that name on the server. The owner unregisters before it removes its file, so a dead
owner's region always has its file on the owner's host. A region on the server without a file here belongs to
a process on another host (or in a container with a /dev/shm of its own): it is not ours to judge and is never
touched.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.errors import ResourceError
from gpu_infer.triton.client.failures import RegionBusy, SharedMemoryOff
from gpu_infer.triton.client.protocol import RegionInfo, TritonClient
from gpu_infer.triton.shm.naming import PREFIX, SHM_FOLDER, lock_existing, owner_pid

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leftover:
    """One name that lost its owner: the file in /dev/shm and, where the server asked knows it, the region.

    nbytes  of the file; 0 for the marker of a CUDA region
    """

    name: str
    pid: int
    path: Path
    nbytes: int
    region: RegionInfo | None

    def __str__(self) -> str:
        where = [str(self.path)] + ([f"{self.region.kind} region on the server"] if self.region else [])
        return f"{self.name} ({self.nbytes / 2**20:.1f} MiB): {', '.join(where)}"


def find_leftovers(client: TritonClient | None = None, folder: Path = SHM_FOLDER) -> list[Leftover]:
    """Everything on this host, and on the client's server if one is given, whose owner is dead, by name.

    Raises what the client raises: ConnectionLost, ServerError, DeadlineError.
    """
    try:
        regions = client.registered_regions() if client is not None else {}
    except SharedMemoryOff:
        regions = {}  # such a server holds none
    found = []
    for path in sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []:
        pid = owner_pid(path.name)
        if pid is None:
            continue
        try:
            if _has_owner(path):
                continue
            found.append(Leftover(path.name, pid, path, path.stat().st_size, regions.get(path.name)))
        except FileNotFoundError:
            continue  # its owner ended just now
        except PermissionError:
            log.debug("%s belongs to another user", path)
    return found


def clean(leftovers: Sequence[Leftover], client: TritonClient | None = None, *, busy_s: float = 10.0) -> None:
    """Unregister each region by its name, then remove its file: a failure leaves something to find.

    A region that the server still works on, for a request of the dead owner, is waited for: `busy_s` at most, for all
    of them together. Raises what the client raises, RegionBusy at the end for those that stay; ResourceError where a
    file cannot be removed; ValueError for a region without a client.
    """
    until = time.monotonic() + busy_s
    busy = []
    for leftover in leftovers:
        if leftover.region is not None:
            if client is None:
                raise ValueError(f"{leftover.name} is registered: pass the client of its server")
            if not _unregister(client, leftover.region, until):
                busy.append(leftover.name)
                continue
        try:
            leftover.path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                f"{leftover.path} cannot be removed: {error.strerror}",
                remedy="remove it as its owner or as root",
            ) from None
        log.info("removed %s", leftover)
    if busy and client is not None:
        raise RegionBusy(
            f"not removed, still in use after {busy_s:g} s: {', '.join(busy)}: the server at {client.url} works on a "
            "request of a process that has ended",
            remedy="come again with --clean once the server has ended that request, or after restarting the server",
        )


def _unregister(client: TritonClient, region: RegionInfo, until: float) -> bool:
    """Whether the region is gone before the monotonic clock shows `until`; at least one try."""
    while True:
        try:
            client.unregister_region(region.name, region.kind)
            return True
        except RegionBusy:
            if time.monotonic() >= until:
                return False
            time.sleep(0.1)


def _has_owner(path: Path) -> bool:
    """Whether a living process holds the lock of the file."""
    try:
        os.close(lock_existing(path))
    except BlockingIOError:
        return True
    return False
