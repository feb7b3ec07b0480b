"""Leftovers of killed processes: regions on the server and segments in /dev/shm.

If no process holds the lock of a file /dev/shm/gpu_infer-<pid>-<random> (see `naming`), its owner is dead, and the
region of that name on the server is a leftover, too. An owner unregisters before it removes its file, so a dead owner's
region always has its file on the owner's host. A region on the server without a file here belongs to a process on
another host, or in a container with another /dev/shm. Whether that process lives is not known here, so such a region is
never removed.
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
    """A name whose owner is dead: its file in /dev/shm and, if the server knows one, its region.

    nbytes  of the file; 0 for the marker of a CUDA region
    """

    name: str
    pid: int
    path: Path
    nbytes: int
    region: RegionInfo | None

    def __str__(self) -> str:
        places = [str(self.path)] + ([f"{self.region.kind} region on the server"] if self.region else [])
        return f"{self.name} ({self.nbytes / 2**20:.1f} MiB): {', '.join(places)}"


def find_leftovers(client: TritonClient | None = None, folder: Path = SHM_FOLDER) -> list[Leftover]:
    """Leftovers on this host, sorted by name, with their regions on the client's server, if there is a client.

    Raises the errors of the client: ConnectionLost, ServerError, DeadlineError.
    """
    try:
        regions = client.registered_regions() if client is not None else {}
    except SharedMemoryOff:
        regions = {}  # such a server knows none
    leftovers = []
    for path in sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []:
        pid = owner_pid(path.name)
        if pid is None:
            continue
        try:
            if _has_owner(path):
                continue
            leftovers.append(Leftover(path.name, pid, path, path.stat().st_size, regions.get(path.name)))
        except FileNotFoundError:
            continue  # its owner has just removed it
        except PermissionError:
            log.debug("%s belongs to another user", path)
    return leftovers


def clean(leftovers: Sequence[Leftover], client: TritonClient | None = None, *, busy_s: float = 10.0) -> None:
    """Unregister each region by its name, then remove its file, so that a failed removal can be repeated.

    A region that a request of the dead owner still uses is waited for: `busy_s` seconds at most, for all of them
    together. Raises the errors of the client; RegionBusy at the end for regions that stay; ResourceError if a file
    cannot be removed; ValueError for a region without a client.
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
    """Unregister; whether that succeeds before the monotonic clock shows `until`. At least one try."""
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
