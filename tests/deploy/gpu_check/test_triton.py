"""The server's environment in the GPU check: the host's packages, NVRTC and the driver's library for its models."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from deploy.gpu_check import triton as gpu_triton
from deploy.gpu_check.runner import Failed
from deploy.gpu_check.triton import LIBPYTHON, add_host_packages, link_driver

LIBRARY = "lib/python{}.{}/site-packages".format(*sys.version_info)

# As CuPy's finder does: wheels' libraries are looked for in these folders, not in those that a .pth appends.
FIND = """
import json, site, sys
from pathlib import Path
places = [Path(folder, "nvidia") for folder in site.getsitepackages()]
print(json.dumps([str(path) for place in places for path in place.glob("*/lib/libnvrtc.so.*")]))
import host_package
"""


def test_models_find_the_hosts_packages_and_its_nvrtc(tmp_path: Path) -> None:
    environment = tmp_path / "server"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(environment)
    first, second = tmp_path / "first", tmp_path / "second"
    (second / "nvidia" / "cu13" / "lib").mkdir(parents=True)
    (second / "nvidia" / "cu13" / "lib" / "libnvrtc.so.13").touch()
    first.mkdir()
    (first / "host_package.py").touch()
    add_host_packages(environment / LIBRARY, [first, second])
    python = environment / "bin" / "python3"
    done = subprocess.run([python, "-I", "-c", FIND], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == f'["{environment / LIBRARY}/nvidia/cu13/lib/libnvrtc.so.13"]'


def test_a_host_without_nvidia_wheels_gets_no_link(tmp_path: Path) -> None:
    add_host_packages(tmp_path, [tmp_path / "none"])
    assert [path.name for path in tmp_path.iterdir()] == ["host.pth"]


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A library with the name that a driver installs, in a separate folder."""
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so")
        pytest.skip("this machine's own libcuda.so would answer")
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        pytest.skip("no C compiler")
    (tmp_path / "driver").mkdir()
    (tmp_path / "empty.c").write_text("int nothing;\n")
    library = tmp_path / "driver" / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "empty.c"], check=True)
    return library


def test_a_driver_without_the_short_name_gets_a_link(driver: Path, tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    variables = dict(os.environ) | {"LD_LIBRARY_PATH": str(driver.parent)}
    link = link_driver(libraries, variables)
    assert link == libraries / "libcuda.so"
    assert link.resolve() == driver
    load = "import ctypes; ctypes.CDLL('libcuda.so')"
    subprocess.run(
        [sys.executable, "-c", load], env=variables | {"LD_LIBRARY_PATH": f"{libraries}:{driver.parent}"}, check=True
    )


def test_no_link_if_the_name_is_there_or_there_is_no_driver(driver: Path, tmp_path: Path) -> None:
    (driver.parent / "libcuda.so").symlink_to(driver.name)
    libraries = tmp_path / "libraries"
    assert link_driver(libraries, dict(os.environ) | {"LD_LIBRARY_PATH": str(driver.parent)}) is None
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return
    assert link_driver(libraries, os.environ) is None
    assert not libraries.exists()


@pytest.fixture
def static_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose Python is linked statically; the folder of an unpacked bundle without a Python."""

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(gpu_triton.sysconfig, "get_config_var", lambda name: str(tmp_path / "nowhere"))
    monkeypatch.setattr(gpu_triton.sys, "base_prefix", str(tmp_path / "nowhere"))
    monkeypatch.setattr(gpu_triton.ctypes, "CDLL", missing)
    monkeypatch.setattr(gpu_triton, "SYSTEM_FOLDERS", ())
    return tmp_path / "bundle"


def test_a_static_host_takes_the_bundles_python(static_host: Path) -> None:
    (static_host / "python" / "lib").mkdir(parents=True)
    (static_host / "python" / "lib" / LIBPYTHON).touch()
    python, libraries = gpu_triton._python_for_the_stub(static_host)
    assert python == static_host / "python" / "bin" / "python3"
    assert libraries == [static_host / "python" / "lib"]


def test_a_static_host_without_the_bundles_python_fails_with_the_remedy(static_host: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"libpython3\.12\.so\.1\.0 not found in .*nowhere.*install libpython3\.12"):
        gpu_triton._python_for_the_stub(static_host)
