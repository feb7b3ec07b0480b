"""Check whether the kernels of the backend are compiled, or the first run compiles them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.numba_variables import check_numba_variables
from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import ConfigError

NAME = "kernels"


def check_kernels(backend: Backend) -> Check:
    """Count the compiled kernels that a run on `backend` would load."""
    try:
        check_numba_variables(os.environ)
        if backend.name == "cpu":
            return _check_numba()
    except ConfigError as error:
        return failure(NAME, error)
    missing = backend.missing_kernels()
    if missing:
        return Check(NAME, "ok", f"the first run compiles {len(missing)} CUDA modules, once: {', '.join(missing)}")
    return Check(NAME, "ok", "all CUDA modules are compiled")


def _check_numba() -> Check:
    from gpu_infer.backends.cpu.kernels import windows
    from gpu_infer.backends.cpu.kernels.cache import CACHE

    if not CACHE:
        return Check(
            NAME,
            "warn",
            "no folder for compiled kernels can be written: every run compiles them again",
            "set NUMBA_CACHE_DIR to a folder that this user can write to",
        )
    folder = Path(windows.gather_windows.stats.cache_path)  # type: ignore[attr-defined]
    count = count_compiled(folder, Path(windows.__file__).parent)
    if count == 0:
        return Check(
            NAME,
            "ok",
            "not compiled yet: the first run compiles those that it needs, once (about 10 s); "
            "--warm-up compiles those of all operations (a minute or two)",
        )
    return Check(NAME, "ok", f"{count} compiled; a run that needs others compiles them, once")


def count_compiled(folder: Path, sources: Path) -> int:
    """How many kernels of the modules in `sources` Numba's index files in `folder` have.

    An index, `windows.gather_windows-15.py311.nbi`, that is older than its module is out of date.
    """
    count = 0
    with suppress(OSError):  # the folder does not exist yet, or a run replaces a file
        for index in folder.iterdir():
            source = sources / f"{index.name.partition('.')[0]}.py"
            if index.suffix == ".nbi" and source.exists():
                count += index.stat().st_mtime >= source.stat().st_mtime
    return count
