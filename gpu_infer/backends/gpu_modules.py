"""Compiled kernels: from a folder where an earlier process or the image build left them, else by NVRTC.

NVRTC is called directly and not through `cupy.RawModule`, which adds options of its own (denormals flushed to zero).
`GPU_INFER_KERNELS` names a folder of cubins that is read before the user's cache; it may be read-only.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..cache import cache_folder
from ..errors import ConfigError
from .gpu_cupy import cupy
from .gpu_source import MODULES, compile_options, cubin_name, kernel_source

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "GPU_INFER_KERNELS"


class Kernels:
    """The kernels of one device; made once per process, safe to use from any thread.

    compiled  modules that this process had to compile
    loaded    modules that it loaded, compiled here or before
    """

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self.compiled = 0
        self.loaded = 0
        self._modules: dict[str, Any] = {}
        self._functions: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, module: str, name: str) -> Any:
        """The kernel `name`, to be called as kernel(grid, block, args, shared_mem=bytes) on the current stream."""
        found = self._functions.get((module, name))
        if found is None:
            with self._lock:
                if module not in self._modules:
                    self._modules[module] = self._load(module)
                found = self._modules[module].get_function(name)
                self._functions[module, name] = found
        return found

    def load_all(self) -> None:
        """Have every module ready, so that nothing is compiled later."""
        with self._lock:
            for module in MODULES:
                if module not in self._modules:
                    self._modules[module] = self._load(module)

    def _load(self, module: str) -> Any:
        name = cubin_name(module, self.architecture, cupy.cuda.nvrtc.getVersion())
        cubin = next((data for folder in _readable_folders() if (data := _read(folder / name))), None)
        if cubin is None:
            log.info("compiling %s.cu for sm_%s", module, self.architecture)
            cubin = compile_cubin(module, self.architecture)
            self.compiled += 1
            folder = _own_folder()
            if folder is None or not _write(folder / name, cubin):
                log.warning("compiled kernels cannot be kept: set %s to a folder that holds them", FOLDER_VARIABLE)
        self.loaded += 1
        loaded = cupy.cuda.function.Module()
        loaded.load(cubin)
        return loaded


def compile_cubin(module: str, architecture: str) -> bytes:
    """Machine code of one module for sm_<architecture>; needs no device. ConfigError where the compiler refuses."""
    nvrtc = cupy.cuda.nvrtc
    program = nvrtc.createProgram(kernel_source(module), f"{module}.cu", (), ())
    try:
        nvrtc.compileProgram(program, compile_options(architecture))
        cubin: bytes = nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        found = nvrtc.getProgramLog(program).strip().splitlines()
        version = ".".join(map(str, nvrtc.getVersion()))
        raise ConfigError(
            f"{module}.cu cannot be compiled for sm_{architecture} by NVRTC {version}: {found[0] if found else error}",
            remedy="install the CuPy of a CUDA release that knows this GPU, or run with --device cpu",
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return cubin


def precompile(architectures: Iterable[str], folder: Path) -> list[Path]:
    """Compile every module for every architecture ("90") into `folder`, for `GPU_INFER_KERNELS`; needs no device."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for architecture in architectures:
        for module in MODULES:
            path = folder / cubin_name(module, architecture, cupy.cuda.nvrtc.getVersion())
            path.write_bytes(compile_cubin(module, architecture))
            made.append(path)
    return made


def _readable_folders() -> list[Path]:
    given = os.environ.get(FOLDER_VARIABLE)
    own = _own_folder()
    return [folder for folder in (Path(given) if given else None, own) if folder is not None]


def _own_folder() -> Path | None:
    """A folder of this user alone: machine code that somebody else could put there would be run."""
    try:
        folder = cache_folder() / "cuda"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat()
    except (ConfigError, OSError):
        return None
    private = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if private else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _write(path: Path, data: bytes) -> bool:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True
