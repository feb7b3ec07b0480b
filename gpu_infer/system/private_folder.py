"""Folders for compiled code, which whoever can write there could have this process run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.system.cache import cache_folder


def private_folder(name: str) -> Path | None:
    """The cache's folder `name`, made if missing; None where it cannot be, or is not of this user alone."""
    try:
        folder = cache_folder() / name
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except (ConfigError, OSError):
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return folder if private and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else None
