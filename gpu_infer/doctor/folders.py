"""Check that folders can be written, and find what killed runs did not remove in them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import ConfigError, GpuInferError, ResourceError
from gpu_infer.writers.atomic import FULL

if TYPE_CHECKING:
    from gpu_infer.config.config import Config
    from gpu_infer.settings import Settings
    from gpu_infer.volume.header import VolumeHeader
    from gpu_infer.writers.unfinished import Cleanup


def remove_archives() -> list[Check]:
    """Remove what killed runs have unpacked from archives; no check if there is nothing."""
    from gpu_infer.volume.archive import remove_abandoned

    removed = remove_abandoned()
    return [Check("archives", "ok", f"removed what killed runs had unpacked: {_listed(removed)}")] if removed else []


def check_writable(name: str, folder: Path) -> Check:
    """Check a folder by a temporary file in it, or in the nearest parent that exists."""
    try:
        existing = _existing(folder)
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free / 2**30
    except OSError as error:
        return Check(
            name,
            "fail",
            f"{folder} cannot be written: {error.strerror}",
            f"mount a writable folder there or choose another one with --{name}",
            ResourceError.exit_code if error.errno in FULL else ConfigError.exit_code,
        )
    note = "" if existing == folder.absolute() else " (will be created)"
    if free < 1:
        return Check(name, "warn", f"{folder}{note}: {free:.2f} GiB free", "a label map may not fit: free some space")
    return Check(name, "ok", f"{folder}{note}: {free:.1f} GiB free")


def check_outputs(settings: Settings, config: Config | None, header: VolumeHeader | None) -> list[Check]:
    """A failure if a run would refuse to write its outputs; no check if it would write them.

    Without `config` or `header` the names of the outputs are not known, and only the folders are compared.
    """
    from gpu_infer.results.label_maps import least_bytes
    from gpu_infer.session.checks import check_all_places
    from gpu_infer.writers.atomic import check_space
    from gpu_infer.writers.collisions import check_folders

    try:
        check_folders(settings.output, settings.publish)
        if config is not None and header is not None:
            check_all_places(settings, config, header)
            check_space(_existing(settings.output), least_bytes(settings, config, header))
    except GpuInferError as error:
        return [failure("output", error)]
    return []


def check_unfinished(name: str, folder: Path, *, clean: bool) -> list[Check]:
    """Check `folder` for remains of runs that were killed while they wrote; no check if there are none."""
    from gpu_infer.writers.unfinished import clean as remove_unfinished
    from gpu_infer.writers.unfinished import find_unfinished

    try:
        unfinished = find_unfinished(folder)
        checks = []
        if unfinished.dead and not clean:
            remedy = "gpu-infer doctor --clean puts older outputs back and removes it"
            checks.append(Check(name, "warn", f"left by a killed run: {_listed(unfinished.dead)}", remedy))
        elif unfinished.dead:
            checks += _cleaned(name, remove_unfinished(folder))
    except GpuInferError as error:
        return [Check(name, "fail", error.message, error.remedy, error.exit_code)]
    except OSError as error:
        return [Check(name, "fail", f"{error.filename}: {error.strerror}", "delete it as its owner or as root", 5)]
    if unfinished.living:
        checks.append(Check(name, "ok", f"written to by a run that goes on: {_listed(unfinished.living)}"))
    if unfinished.foreign:
        owners = ", ".join(sorted({str(path.lstat().st_uid) for path in unfinished.foreign}))
        message = f"of another user (uid {owners}), perhaps left by a killed run: {_listed(unfinished.foreign)}"
        checks.append(Check(name, "warn", message, "run gpu-infer doctor as that user or as root"))
    return checks


def _cleaned(name: str, cleaned: Cleanup) -> list[Check]:
    checks = []
    if cleaned.restored:
        checks.append(Check(name, "ok", f"older output put back: {_listed(cleaned.restored)}"))
    if cleaned.removed:
        checks.append(Check(name, "ok", f"removed: {_listed(cleaned.removed)}"))
    if cleaned.stuck:
        message = f"not removed, of another user or with older outputs whose place is taken: {_listed(cleaned.stuck)}"
        checks.append(Check(name, "fail", message, "move what is in its folder `replaced`, then delete it", 5))
    return checks


def _existing(folder: Path) -> Path:
    """The folder, or the nearest parent that exists."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def remove_server_logs() -> list[Check]:
    """Remove logs of local servers that ended a day ago or earlier."""
    from gpu_infer.triton.local.server_log import remove_old_logs

    removed = remove_old_logs()
    return [Check("logs of local servers", "ok", f"removed: {_listed(removed)}")] if removed else []
