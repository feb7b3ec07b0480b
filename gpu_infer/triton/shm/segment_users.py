"""Processes of this user that use a segment in /dev/shm whose owner is dead."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_infer.triton.shm.naming import PREFIX, SHM_FOLDER, owner_pid


def mapped_by(path: Path, proc: Path = Path("/proc")) -> list[str]:
    """`<pid> (<program>)` of each process that maps the file, as a server does while it knows the region.

    Processes of other users, and of other containers, cannot be seen.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    users = []
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        try:
            lines = (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
            if any(line.split(maxsplit=5)[3:5] == [device, str(status.st_ino)] for line in lines):
                users.append(f"{process.name} ({(process / 'comm').read_text(encoding='utf-8').strip()})")
        except OSError:  # it has ended, or belongs to another user
            continue
    return users


def foreign_segments(folder: Path = SHM_FOLDER) -> list[Path]:
    """Segments that this user may not open, so that it is not known whether their owners live."""
    paths = sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []
    return [path for path in paths if owner_pid(path.name) is not None and not _is_readable(path)]


def _is_readable(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except PermissionError:
        return False
    except FileNotFoundError:  # its owner has just removed it
        return True
    return True
