"""Free host memory of this process, also inside a container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = 1 << 60
"""cgroup v1 writes a number near 2^63 if there is no limit."""


def free_host_bytes(root: Path = Path("/")) -> int:
    """The kernel's estimate of available memory or the smallest headroom of a cgroup, whichever is less."""
    return max(0, min([_available(root / "proc/meminfo"), *_cgroup_headrooms(root)]))


def _available(meminfo: Path) -> int:
    for line in meminfo.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{meminfo} has no line MemAvailable")


def _cgroup_headrooms(root: Path) -> Iterator[int]:
    """Limit − use of every memory cgroup up to the root, v1 and v2. Droppable page cache counts as free."""
    try:
        entries = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for entry in entries:
        _, controllers, path = entry.split(":", 2)
        if controllers == "":
            top, limit, use, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, use = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        folder = top / path.lstrip("/")
        # inside a container the path may be the host's, and the container's own cgroup is mounted at the top
        for level in {top, folder, *(p for p in folder.parents if p.is_relative_to(top))}:
            headroom = _headroom(level / limit, level / use, level / "memory.stat", cache)
            if headroom is not None:
                yield headroom


def _headroom(limit: Path, use: Path, stat: Path, cache: str) -> int | None:
    try:
        ceiling = limit.read_text(encoding="utf-8").strip()
        if ceiling == "max" or int(ceiling) >= _UNLIMITED:
            return None
        used = int(use.read_text(encoding="utf-8"))
        droppable = 0
        for line in stat.read_text(encoding="utf-8").splitlines():
            key, value = line.split()
            if key == cache:
                droppable = int(value)
    except (OSError, ValueError):
        return None
    return int(ceiling) - used + droppable
