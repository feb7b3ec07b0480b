"""Whether the input can be read and the output be written."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ..errors import ConfigError, GpuInferError
from .check import Check


def check_input(path: Path) -> Check:
    """The file that a run would choose."""
    from ..volume.choose import choose_input

    try:
        return Check("input", "ok", str(choose_input(path)))
    except (GpuInferError, OSError) as error:
        message, remedy, code = _parts(error, 3)
        return Check("input", "fail", message, remedy or "give a readable file or folder with --input", code)


def check_writable(name: str, folder: Path) -> Check:
    """Make a file in `folder`, or in the nearest folder above that exists, and take it away again."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free / 2**30
    except OSError as error:
        return Check(
            name,
            "fail",
            f"{folder} cannot be written: {error.strerror}",
            f"mount a writable folder there or choose another one with --{name}",
            ConfigError.exit_code,
        )
    note = "" if existing == folder.absolute() else " (will be made)"
    if free < 1:
        return Check(name, "warn", f"{folder}{note}: {free:.2f} GiB free", "a label map may not fit: free some space")
    return Check(name, "ok", f"{folder}{note}: {free:.1f} GiB free")


def check_unfinished(name: str, folder: Path, *, clean: bool) -> list[Check]:
    """What runs that were killed while they wrote left in `folder`; no check where there is nothing."""
    from ..writers.unfinished import find_unfinished, remove

    found = find_unfinished(folder)
    if not found:
        return []
    listed = ", ".join(map(str, found))
    if not clean:
        return [Check(name, "warn", f"left by a killed run: {listed}", "gpu-infer doctor --clean removes it")]
    try:
        remove(found)
    except OSError as error:
        return [Check(name, "fail", f"{error.filename}: {error.strerror}", "delete it as its owner or as root", 5)]
    return [Check(name, "ok", f"removed: {listed}")]


def _parts(error: Exception, code: int) -> tuple[str, str | None, int]:
    if isinstance(error, GpuInferError):
        return error.message, error.remedy, error.exit_code
    return str(error), None, code
