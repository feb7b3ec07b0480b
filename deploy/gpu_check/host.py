"""The host of the GPU check: packages and their versions, GPU, driver."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.gpu_check.memory import memory_facts
from deploy.gpu_check.programs import COUNT_DEVICES

LEAST_CUPY = "13.6"
_VARIANTS = ("cupy", "onnxruntime")
"""Packages whose distributions are named by their target: cupy-cuda13x, onnxruntime-gpu."""
_SHOWN = ("gpu-infer", "numpy", "numba", "tritonclient", "grpcio", "protobuf", "onnxruntime", "SimpleITK")

# A separate process imports each: only an import shows that a package does not fit another.
IMPORTS = """
import importlib, json, sys
wrong = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        if name == "numba":
            import numpy
            total = module.njit(lambda x: x.sum())(numpy.ones(8))
            assert total == 8, f"a jitted sum of eight ones is {total}"
    except Exception as error:
        wrong[name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
print(json.dumps(wrong))
"""
MODULES = {
    "numpy": "numpy",
    "numba": "numba",
    "scipy": "scipy.ndimage",
    "scikit-image": "skimage.measure",
    "onnxruntime": "onnxruntime",
    "cupy": "cupy",
    "grpcio": "grpc",
    "pytest": "pytest",
    "hypothesis": "hypothesis",
}
"""Modules that are imported to test that the packages work."""


def least_versions() -> dict[str, str]:
    """Lowest versions of the host's packages: of CuPy, of gRPC as the bundle's tritonclient was generated for, and what
    gpu_infer requires of others."""
    from packaging.requirements import Requirement

    least = {"cupy": LEAST_CUPY}
    for line in importlib.metadata.requires("gpu-infer") or ():
        requirement = Requirement(line)
        floors = [clause.version for clause in requirement.specifier if clause.operator == ">="]
        if requirement.marker is None and floors:
            least[requirement.name.lower()] = floors[0]
    if (generated := generated_for()) is not None:
        least["grpcio"] = generated
    return least


def generated_for() -> str | None:
    """The gRPC version that tritonclient's generated code requires at import, read without importing it."""
    spec = importlib.util.find_spec("tritonclient")
    for folder in spec.submodule_search_locations or () if spec else ():
        stub = Path(folder, "grpc", "service_pb2_grpc.py")
        text = stub.read_text(encoding="utf-8") if stub.is_file() else ""
        if line := re.search(r"GRPC_GENERATED_VERSION = '([^']+)'", text):
            return line[1]
    return None


def shortcomings(expected: Iterable[str], versions_of: dict[str, str], least: dict[str, str]) -> list[str]:
    """One line per package that is missing or too old, with the remedy.

    versions_of  version by distribution; names in lower case with hyphens
    """
    from packaging.version import Version

    lines = []
    for name in sorted(expected):
        versions = [v for n, v in versions_of.items() if n == name or (name in _VARIANTS and n.startswith(f"{name}-"))]
        floor = least.get(name)
        requirement = f"'{_to_install(name)}{f'>={floor}' if floor else ''}'"
        if not versions:
            lines.append(f"{name} is not installed: pip install {requirement}")
        elif floor and max(map(Version, versions)) < Version(floor):
            lines.append(
                f"{name} is {max(versions, key=Version)}, {floor} or newer is needed: pip install {requirement}"
            )
    return lines


def _to_install(name: str) -> str:
    return {"cupy": "cupy-cuda13x"}.get(name, name)


def installed() -> dict[str, str]:
    """Version by distribution, names in lower case with hyphens."""
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # an import uses the first on the path
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return versions


def count_devices(timeout_s: float = 60.0) -> int:
    """CUDA devices that the driver counts, in a separate process; 0 without a driver."""
    command = [sys.executable, "-c", COUNT_DEVICES]
    try:
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return 0
    return int(answer.stdout) if answer.returncode == 0 else 0


def facts() -> dict[str, Any]:
    """The host, as its own tools describe it."""
    query = "name,uuid,driver_version,memory.total,mig.mode.current,persistence_mode,clocks.max.mem,power.limit"
    gpu = None
    if smi := shutil.which("nvidia-smi"):
        done = subprocess.run(
            [smi, f"--query-gpu={query}", "--format=csv,noheader"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        rows = [line.split(", ") for line in done.stdout.splitlines() if line]
        gpu = [dict(zip(query.split(","), row, strict=False)) for row in rows]
    versions = installed()
    shown = [name.lower() for name in _SHOWN]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "memory": memory_facts(),
        "python": platform.python_version(),
        "versions": {n: v for n, v in sorted(versions.items()) if n in shown or n.startswith(("cupy", "cucim"))},
    }
