"""NVRTC's part: kernels/*.cu built for the host by g++ against shim.h. A "cubin" is a shared library."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar

SHIM = Path(__file__).with_name("shim.h")

ASAN = bool(os.environ.get("CUDASIM_ASAN"))
"""Set in the process that runs under AddressSanitizer (see test_cudasim.py)."""

FLAGS = [
    "-std=c++17",
    "-x",
    "c++",
    "-O1",
    "-ffp-contract=off",  # as --fmad=false
    "-fno-strict-aliasing",
    "-fopenmp",
    "-fPIC",
    "-Wno-unknown-pragmas",
    *(["-fsanitize=address", "-g1", "-fno-omit-frame-pointer"] if ASAN else []),
]


class NVRTCError(RuntimeError):
    pass


class Program:
    def __init__(self, source: str) -> None:
        self.source = source
        self.log = ""
        self.library = b""


def get_version() -> tuple[int, int]:
    """Changes with the shim, so that kernels kept by gpu_modules are never older than it."""
    return (0, int(hashlib.sha256(SHIM.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:8], 16))


def create_program(source: str, name: str, headers: Any, include_names: Any) -> Program:
    assert not headers
    assert not include_names
    return Program(source)


def compile_program(program: Program, options: tuple[str, ...]) -> None:
    assert "--fmad=false" in options
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cpp"
        text = f'#include "{SHIM}"\n{program.source}\n'
        path.write_text(text, encoding="utf-8")
        listed = _compiler(program, ["-DCUDASIM_LIST", "-E", "-P", str(path)])
        names = re.findall(r"CUDASIM_GLOBAL\s+void\s+(\w+)\s*\(", listed)
        path.write_text(text + "\n".join(f"CUDASIM_EXPORT({name})" for name in names) + "\n", encoding="utf-8")
        library = Path(folder) / "kernels.so"
        _compiler(program, ["-shared", str(path), "-o", str(library)])
        program.library = library.read_bytes()


def _compiler(program: Program, arguments: list[str]) -> str:
    done = subprocess.run(["g++", *FLAGS, *arguments], capture_output=True, encoding="utf-8", check=False)
    program.log += done.stderr
    if done.returncode:
        raise NVRTCError(done.stderr)
    return done.stdout


class Launch(ctypes.Structure):
    _fields_ = [("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3), ("shared_bytes", ctypes.c_ulonglong)]


class Module:
    """`cupy.cuda.function.Module`."""

    launches: ClassVar[list[str]] = []
    """Names of the kernels started, in order."""

    def load(self, cubin: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=".so") as file:
            file.write(cubin)
            file.flush()
            self._library = ctypes.CDLL(file.name)

    def get_function(self, name: str) -> Any:
        function = getattr(self._library, f"cudasim_launch_{name}")

        def start(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], shared_mem: int = 0) -> None:
            (argument,) = args
            assert argument.size == 1, "only arrays of size one are passed by value"
            grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
            assert all(n > 0 for n in (*grid, *block)), f"{name}: invalid grid {grid} or block {block}"
            assert grid[0] < 1 << 31, f"{name}: {grid[0]} blocks"
            assert max(grid[1:]) < 1 << 16
            assert block[0] * block[1] * block[2] <= 1024
            assert shared_mem <= 48 << 10, f"{name}: {shared_mem} bytes of shared memory need an opt-in"
            how = Launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared_mem)
            self.launches.append(name)
            function(ctypes.byref(how), ctypes.c_void_p(argument.ctypes.data))

        return start
