"""NVRTC of a wheel through ctypes: source text in, machine code and the assembler's resource report out. No GPU needed.

The wheels `nvidia-cuda-nvrtc-cu12` and `nvidia-cuda-nvrtc` (CUDA 13) can be installed side by side (extra `nvrtc`).
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# CUDA major version → folder of the library in its wheel, below the namespace package `nvidia`.
LIBRARIES = {12: "cuda_nvrtc/lib/libnvrtc.so.12", 13: "cu13/lib/libnvrtc.so.13"}

# The assembler's report, one block per kernel, after `Function properties for NAME`; device functions that were not
# inlined have a block too.
_FUNCTION = re.compile(r"Function properties for (\S+)")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass
class Resources:
    """Resources of one kernel: local memory, spills (bytes per thread), registers, static shared memory (bytes)."""

    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    registers: int = 0
    shared: int = 0


@dataclass(frozen=True)
class Compiled:
    """`cubin` is empty if `ok` is false; `log` has the messages of the compiler and the assembler."""

    ok: bool
    log: str
    cubin: bytes
    kernels: dict[str, Resources]


def library(major: int) -> Path | None:
    """The shared library of the installed wheel for CUDA `major`, or None."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    candidates = (Path(folder) / LIBRARIES[major] for folder in folders or ())
    return next((path for path in candidates if path.is_file()), None)


class Nvrtc:
    """One NVRTC. `version` is (major, minor); `build` identifies the library file."""

    def __init__(self, path: Path) -> None:
        # RTLD_LOCAL, the default: two versions live in one process without meeting.
        self._library = ctypes.CDLL(str(path))
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = (major.value, minor.value)
        status = path.stat()
        self.build = f"{path.name} {status.st_size} {status.st_mtime_ns}"

    def compile(self, source: str, name: str, options: Sequence[str]) -> Compiled:
        """Compile down to machine code: `options` name a real architecture (`--gpu-architecture=sm_90`)."""
        arguments = [*options, "--ptxas-options=-v"]
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
        try:
            array = (ctypes.c_char_p * len(arguments))(*(option.encode() for option in arguments))
            failed = self._library.nvrtcCompileProgram(program, len(arguments), array)
            log = self._text(program, "ProgramLog").decode(errors="replace").rstrip("\0")
            cubin = b"" if failed else self._text(program, "CUBIN")
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))
        return Compiled(not failed, log, cubin, report(log))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, buffer)
        return buffer.raw

    def _call(self, function: str, *arguments: object) -> None:
        if code := getattr(self._library, function)(*arguments):
            raise RuntimeError(f"{function} failed with code {code}")


@cache
def nvrtc(major: int) -> Nvrtc:
    path = library(major)
    assert path is not None, f"no NVRTC of CUDA {major}"
    return Nvrtc(path)


def compile_once(compiler: Nvrtc, source: str, name: str, options: Sequence[str], folder: Path | None) -> Compiled:
    """The result of `compiler.compile`, cached in `folder`; failures are not cached."""
    if folder is None:
        return compiler.compile(source, name, options)
    key = "\0".join((source, name, *options, str(compiler.version), compiler.build))
    cubin = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.cubin"
    log = cubin.with_suffix(".log")
    if cubin.is_file():
        text = log.read_text(encoding="utf-8")
        return Compiled(True, text, cubin.read_bytes(), report(text))
    compiled = compiler.compile(source, name, options)
    if compiled.ok:
        log.write_text(compiled.log, encoding="utf-8")
        partial = cubin.with_suffix(f".{os.getpid()}")
        partial.write_bytes(compiled.cubin)
        partial.replace(cubin)  # last, so that a cubin has its log
    return compiled


def report(log: str) -> dict[str, Resources]:
    """The resource report of `--ptxas-options=-v`, per function."""
    resources: dict[str, Resources] = {}
    current: Resources | None = None
    for line in log.splitlines():
        if match := _FUNCTION.search(line):
            current = resources.setdefault(match[1], Resources())
        elif current is not None and (match := _STACK.search(line)):
            current.stack, current.spill_stores, current.spill_loads = (int(group) for group in match.groups())
        elif current is not None and (match := _USED.search(line)):
            current.registers = int(match[1])
            current.shared = int(shared[1]) if (shared := _SHARED.search(line)) else 0
    return resources


def warnings(log: str) -> list[str]:
    """Lines of the log that are neither the resource report nor empty."""
    return [
        line
        for line in log.splitlines()
        if line.strip() and not line.startswith("ptxas info") and "ptxas   " not in line
    ]
