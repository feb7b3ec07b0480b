"""Checks of Python, the required packages and the packaged folders."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from gpu_infer._version import __version__
from gpu_infer.doctor.check import Check
from gpu_infer.system.resources import resource_folder

REQUIRED = ("numpy", "numba", "SimpleITK", "nibabel", "pydicom", "tritonclient", "pydantic", "typer", "rich")


def check_python() -> Check:
    """Report the versions of gpu_infer and Python."""
    return Check("gpu_infer", "ok", f"{__version__}, Python {platform.python_version()} ({sys.executable})")


def check_packages(names: tuple[str, ...] = REQUIRED) -> Check:
    """Check that the required packages are installed."""
    versions, missing = [], []
    for name in names:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "fail", f"missing: {', '.join(missing)}", "pip install gpu-infer", 1)
    return Check("packages", "ok", ", ".join(versions))


def check_resources() -> Check:
    """Check that the packaged configuration, models and CUDA sources exist."""
    names = ("config", "models", "kernels", "backends")
    try:
        folders = [resource_folder(name) for name in names]
    except FileNotFoundError as error:
        return Check("packaged files", "fail", str(error), "install gpu-infer again", 1)
    return Check("packaged files", "ok", f"{', '.join(names)} in {folders[0].parent}")
