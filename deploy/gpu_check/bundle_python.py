"""Copy a Python 3.12 and its shared library into the bundle, for Triton on hosts whose own Python is linked statically.

Triton's Python backend is linked to libpython3.12.so.1.0, which some distributions' Python lacks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PYTHON = "3.12"
LIBPYTHON = f"libpython{PYTHON}.so.1.0"
NOT_NEEDED = (
    *("test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "turtledemo", "site-packages"),
    *("config-*", "*.a", "__pycache__", "_test*"),
)
"""Patterns of files and folders of the standard library that models in Triton do not need."""

_ASK = "import sys, sysconfig as s; print(sys.version_info[:2] == (3, 12)); print(sys.base_prefix)"


class PythonMissing(Exception):
    """There is no Python to copy; the text is one line with the remedy."""


class SharedPython(NamedTuple):
    """An interpreter that runs, and the prefix whose `lib` has its shared library."""

    program: Path
    prefix: Path


def find_python(environment: Mapping[str, str] | None = None) -> SharedPython:
    """The first Python 3.12 on PATH, then among pyenv's, that runs and has a shared library.

    Raises:
        PythonMissing: there is none; the text lists each candidate with its defect.
    """
    environment = os.environ if environment is None else environment
    reasons = []
    for program in _candidates(environment):
        # A version manager has stand-ins for Pythons that are not installed, so each candidate is run.
        try:
            answer = subprocess.run(
                [program, "-c", _ASK], capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reasons.append(f"{program}: {error}")
            continue
        lines = answer.stdout.splitlines()
        if answer.returncode or len(lines) != 2 or lines[0] != "True":
            reasons.append(f"{program} does not run as Python {PYTHON}")
        elif not (Path(lines[1]) / "lib" / LIBPYTHON).is_file():
            reasons.append(f"{program} has no {lines[1]}/lib/{LIBPYTHON}")
        else:
            return SharedPython(program, Path(lines[1]))
    raise PythonMissing(
        f"no python{PYTHON} with {LIBPYTHON} for the bundle ({'; '.join(reasons) or 'none on PATH or in ~/.pyenv'}): "
        "install one built with --enable-shared (PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.12), "
        "or give --without-python if the GPU host has that library"
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    name = f"python{PYTHON}"
    folders = [Path(entry) for entry in environment.get("PATH", os.defpath).split(os.pathsep) if entry]
    home = environment.get("HOME")
    if home is not None:
        folders += sorted(Path(home).glob(f".pyenv/versions/{PYTHON}*/bin"))
    for folder in dict.fromkeys(folders):
        if os.access(folder / name, os.X_OK):
            yield folder / name


def copy_python(source: SharedPython, folder: Path) -> None:
    """Interpreter, shared library and standard library, without symbols."""
    modules = Path("lib", f"python{PYTHON}")
    ignored = shutil.ignore_patterns(*NOT_NEEDED)
    shutil.copytree(source.prefix / modules, folder / modules, ignore=ignored, symlinks=True)
    (folder / "bin").mkdir()
    shutil.copy(source.prefix / "bin" / f"python{PYTHON}", folder / "bin" / "python3")
    shutil.copy(source.prefix / "lib" / LIBPYTHON, folder / "lib" / LIBPYTHON)
    if strip := shutil.which("strip"):
        binaries = [folder / "bin/python3", folder / "lib" / LIBPYTHON, *(folder / modules).rglob("*.so")]
        subprocess.run([strip, "--strip-unneeded", *binaries], check=True)


def check_python_in(archive: Path, top: str) -> None:
    """PythonMissing unless the archive holds `top`/python/lib/libpython3.12.so.1.0."""
    library = f"{top}/python/lib/{LIBPYTHON}"
    with tarfile.open(archive) as tar:
        if not any(member.name == library and member.isfile() and member.size for member in tar):
            raise PythonMissing(f"{archive} holds no {library}: build it again, or give --without-python")
