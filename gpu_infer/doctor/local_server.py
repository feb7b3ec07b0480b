"""Check what `--triton local` needs before a server is started: platform, Python, space and the model repository."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gpu_infer.doctor.check import Check, failure
from gpu_infer.doctor.driver import check_driver_library
from gpu_infer.errors import ConfigError, GpuInferError, ModelError, ResourceError

_ENSEMBLE = re.compile(rb"ensemble_scheduling|platform\s*:\s*\"ensemble\"")
"""In the config.pbtxt of a model that consists of others, whose folders of versions are empty."""


def check_runtime() -> tuple[bool, list[Check]]:
    """Whether a local Triton is installed, and checks of it or of what its installation needs. Installs nothing."""
    from gpu_infer.triton.local import install
    from gpu_infer.triton.local.runtime import TRITON_VERSION

    name = "local triton"
    try:
        install.check_platform()
        runtime, folder = install.installed(), install.environment_folder()
    except GpuInferError as error:
        return False, [failure(name, error)]
    driver = check_driver_library(os.environ if runtime is None else runtime.environment())
    if runtime is not None:
        return True, [Check(name, "ok", f"{TRITON_VERSION} in {folder}"), *driver]
    needed = install.NEEDED_BYTES
    for place in (folder.parent, Path(tempfile.gettempdir())):
        free = shutil.disk_usage(place).free
        if free < needed:
            full = ResourceError(
                f"not installed, and {place} has {free >> 20} MiB free of the {needed >> 20} MiB that it needs",
                remedy="free space there, or point GPU_INFER_CACHE and TMPDIR elsewhere",
            )
            return False, [failure(name, full), *driver]
    message = f"not installed: the first run downloads it (about 450 MB) into {folder}"
    return False, [Check(name, "ok", message), *driver]


def check_repository(repository: Path, models: Sequence[str]) -> Check:
    """Check that the model repository has models, the configured `models` among them; empty: they are not known."""
    from gpu_infer.connect import check_repository_model, folders_of_models, list_names
    from gpu_infer.triton.local.server_command import check_repository as check_folder

    name = "models"
    try:
        folders = folders_of_models(check_folder(repository))
        for model in models:
            check_repository_model(repository, model)
            _check_files(repository / model)
    except GpuInferError as error:
        return failure(name, error)
    except OSError as error:
        unreadable = ConfigError(
            f"model repository {repository} cannot be read: {error.strerror}", remedy="let this user read it"
        )
        return failure(name, unreadable)
    return Check(name, "ok", f"{len(folders)} in {repository}: {list_names(folders)}", details=folders)


def _check_files(folder: Path) -> None:
    """Raise ModelError for a model without a file, for which a server may wait until its time is over."""
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir()]
    if not versions:
        raise ModelError(f"{folder} has no folder of a version", remedy=f"put the model's files into {folder / '1'}")
    has_file = any(entry.exists() for version in versions for entry in version.iterdir())
    if not has_file and not _ENSEMBLE.search((folder / "config.pbtxt").read_bytes()):
        raise ModelError(
            f"{folder} has no file in {', '.join(sorted(version.name for version in versions))}",
            remedy="put the model's files there, and the files to which links lead",
        )
