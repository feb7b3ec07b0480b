"""Install the bundle's tritonserver as `gpu_infer.triton.local` expects it, with the host's packages for its models."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.gpu_check.runner import Failed

LIBPYTHON = "libpython3.12.so.1.0"
FOLDER = "triton-2.51-py3.12"
SYSTEM_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")

_LOAD = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
stem = "/" + sys.argv[1].split(".so")[0] + ".so"
print(next(line.split()[-1] for line in open("/proc/self/maps") if stem in line))
"""


def install_triton(folder: Path, bundle: Path) -> None:
    """Create the server's environment in `folder` from the unpacked bundle.

    Raises:
        Failed: neither host nor bundle has the shared library of Python 3.12.
    """
    python, libraries = _python_for_the_stub(bundle)
    shutil.rmtree(folder, ignore_errors=True)
    if python is None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    else:
        paths = f"{libraries[0]}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        command = [python, "-I", "-m", "venv", "--without-pip", folder]
        subprocess.run(command, env=os.environ | {"LD_LIBRARY_PATH": paths}, check=True)
    packages = folder / "lib" / "python3.12" / "site-packages"
    for part in ("nvidia_pytriton.libs", "pytriton"):
        shutil.copytree(bundle / "triton" / part, packages / part, symlinks=True)
    named = ("site-packages", "dist-packages")
    host = [Path(path) for path in dict.fromkeys(map(os.path.realpath, sys.path)) if path.endswith(named)]
    add_host_packages(packages, host)
    own = folder / "libraries"
    if link_driver(own, os.environ) is not None:
        libraries = [*libraries, own]
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    marker = {
        "requirements": manifest["requirements"],
        "site_packages": str(packages),
        "libraries": [str(path) for path in libraries],
    }
    (folder / "complete.json").write_text(json.dumps(marker, indent=2), encoding="utf-8")


def add_host_packages(packages: Path, host: Sequence[Path]) -> None:
    """Let the server's models import the host's packages.

    A .pth file appends the folders to the path, but .pth files in them are not read. CuPy searches NVRTC only in the
    environment's own site-packages, in the folder `nvidia`, which therefore is a link.
    """
    (packages / "host.pth").write_text("".join(f"{path}\n" for path in host), encoding="utf-8")
    first = next((path / "nvidia" for path in host if (path / "nvidia").is_dir()), None)
    if first is not None:
        (packages / "nvidia").symlink_to(first, target_is_directory=True)


def link_driver(folder: Path, environment: Mapping[str, str]) -> Path | None:
    """Link `libcuda.so` in `folder` if only `libcuda.so.1` can be loaded; the link, or None if it is not needed.

    Triton's Python backend opens the name without the number, which only development packages install.
    """
    if _loaded_from("libcuda.so", environment) is not None:
        return None
    driver = _loaded_from("libcuda.so.1", environment)
    if driver is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "libcuda.so"
    link.unlink(missing_ok=True)
    link.symlink_to(driver)
    return link


def _loaded_from(name: str, environment: Mapping[str, str]) -> Path | None:
    """The file that the loader uses for a library, without PYTHONPATH and site, which the server lacks, too."""
    command = [sys.executable, "-I", "-S", "-c", _LOAD, name]
    answer = subprocess.run(
        command, env=dict(environment), capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return Path(answer.stdout.strip()) if answer.returncode == 0 and answer.stdout.strip() else None


def _python_for_the_stub(bundle: Path) -> tuple[Path | None, list[Path]]:
    """(Python whose standard library the stub uses, None for this one; folders with libpython)."""
    places = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib", *SYSTEM_FOLDERS]
    for place in filter(None, places):
        if Path(place, LIBPYTHON).is_file():
            return None, [Path(place)]
    with contextlib.suppress(OSError):
        ctypes.CDLL(LIBPYTHON)  # wherever the loader finds it, possibly only by the run path of this Python
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        return None, [Path(next(line for line in maps if line.endswith(LIBPYTHON)).split()[-1]).parent]
    own = bundle / "python"
    if not (own / "lib" / LIBPYTHON).is_file():
        raise Failed(
            f"{LIBPYTHON} not found in {', '.join(filter(None, places))}, and the bundle carries none: Triton's Python "
            "backend links to it; install libpython3.12 (Debian, Ubuntu) or use a Python built with --enable-shared"
        )
    return own / "bin" / "python3", [own / "lib"]
