"""Loads compiled kernels from the cache or from the folder of an image build, and compiles missing ones by NVRTC.

NVRTC is called directly and not through `cupy.RawModule`, which adds other options (denormals flushed to zero).
`GPU_INFER_KERNELS` names a folder of cubins that is read before the user's cache; it may be read-only. A file in it
names the NVRTC that compiled them, so that the library itself is only needed if one is missing.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpu_infer.backends.gpu.compile.source import MODULES, compile_options, cubin_name, kernel_source
from gpu_infer.backends.gpu.device.cupy_import import cupy
from gpu_infer.errors import ConfigError
from gpu_infer.system.cache import private_folder
from gpu_infer.system.notices import NOTICE

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "GPU_INFER_KERNELS"

MADE_BY = "nvrtc-version"
"""File in that folder: the compiler's version, "12.9", which is part of the cubins' names."""


class Kernels:
    """The kernels of one device; one object per process, safe to use from any thread.

    Raises ConfigError if they are not all compiled and there is no compiler: before anything begins, not during a run.

    compiled  modules that this process had to compile
    loaded    modules that it loaded, compiled here or before
    """

    def __init__(self, architecture: str) -> None:
        if any(_image_path(module, architecture) is None for module in MODULES):
            compiler_version(architecture)
        self.architecture = architecture
        self.compiled = 0
        self.loaded = 0
        self._most = 0  # modules to compile, if all are needed
        self._modules: dict[str, Any] = {}
        self._functions: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, module: str, name: str) -> Any:
        """The kernel `name`, to be called as kernel(grid, block, args, shared_mem=bytes) on the current stream."""
        function = self._functions.get((module, name))
        if function is None:
            with self._lock:
                if module not in self._modules:
                    self._modules[module] = self._load(module)
                function = self._modules[module].get_function(name)
                self._functions[module, name] = function
        return function

    def load_all(self) -> None:
        """Load every module, so that nothing is compiled later."""
        with self._lock:
            for module in MODULES:
                if module not in self._modules:
                    self._modules[module] = self._load(module)

    def missing(self) -> list[str]:
        """The modules that no folder holds; `load_all` compiles them."""
        return [module for module in MODULES if not self._has(module)]

    def _has(self, module: str) -> bool:
        if _image_path(module, self.architecture) is not None:
            return True
        name = cubin_name(module, self.architecture, compiler_version(self.architecture))
        return any(folder is not None and (folder / name).is_file() for folder in (_image_folder(), _own_folder()))

    def _load(self, module: str) -> Any:
        path = _image_path(module, self.architecture)
        cubin = (_read(path) if path else None) or self._cached_or_compiled(module)
        self.loaded += 1
        loaded = cupy.cuda.function.Module()
        loaded.load(cubin)
        return loaded

    def _cached_or_compiled(self, module: str) -> bytes:
        name = cubin_name(module, self.architecture, compiler_version(self.architecture))
        folders = (_image_folder(), _own_folder())
        cubin = next((data for folder in folders if folder is not None and (data := _read(folder / name))), None)
        if cubin is None:
            if self.compiled == 0:
                self._most = len(self.missing())
            once = "" if folders[1] is None else " (once)"
            number = f"{self.compiled + 1} of up to {self._most}"
            log.info(
                "compiling CUDA module %s%s: %s.cu for sm_%s", number, once, module, self.architecture, extra=NOTICE
            )
            cubin = compile_cubin(module, self.architecture)
            self.compiled += 1
            if folders[1] is None or not _write(folders[1] / name, cubin):
                log.warning("compiled kernels cannot be kept: set %s to a folder that holds them", FOLDER_VARIABLE)
        return cubin


def compiler_version(architecture: str = "") -> tuple[int, int]:
    """NVRTC's (major, minor). Raises ConfigError if CuPy finds none; CuPy's own error differs between its releases."""
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except (RuntimeError, ImportError, OSError) as error:
        kernels = f"the kernels for sm_{architecture}" if architecture else "the kernels"
        raise ConfigError(
            f"CuPy finds no NVRTC, which compiles {kernels}: {(str(error).splitlines() or [''])[0]}",
            remedy='pip install "gpu-infer[cuda13]" (or [cuda12], as CuPy is), set '
            f"{FOLDER_VARIABLE} to a folder of kernels compiled for this GPU, or run with --device cpu",
        ) from error
    return int(major), int(minor)


def compile_cubin(module: str, architecture: str) -> bytes:
    """Machine code of one module for sm_<architecture>; needs no device. Raises ConfigError if the compiler refuses."""
    nvrtc = cupy.cuda.nvrtc
    program = nvrtc.createProgram(kernel_source(module), f"{module}.cu", (), ())
    try:
        nvrtc.compileProgram(program, compile_options(architecture))
        cubin: bytes = nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        lines = nvrtc.getProgramLog(program).strip().splitlines()
        version = ".".join(map(str, nvrtc.getVersion()))
        raise ConfigError(
            f"{module}.cu cannot be compiled for sm_{architecture} by NVRTC {version}: {lines[0] if lines else error}",
            remedy="install the CuPy of a CUDA release that knows this GPU, or run with --device cpu",
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return cubin


def precompile(architectures: Iterable[str], folder: Path) -> list[Path]:
    """Compile every module for every architecture ("90") into `folder`, for `GPU_INFER_KERNELS`; needs no device."""
    version = compiler_version()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for architecture in architectures:
        for module in MODULES:
            path = folder / cubin_name(module, architecture, version)
            path.write_bytes(compile_cubin(module, architecture))
            paths.append(path)
    (folder / MADE_BY).write_text(f"{version[0]}.{version[1]}\n", encoding="ascii")
    return paths


def _image_folder() -> Path | None:
    name = os.environ.get(FOLDER_VARIABLE)
    if name and not Path(name).is_dir():
        _warn_once(name)
    return Path(name) if name else None


@functools.cache
def _warn_once(folder: str) -> None:
    log.warning("%s: no folder %s: kernels are compiled, or read from the cache", FOLDER_VARIABLE, folder)


def _image_path(module: str, architecture: str) -> Path | None:
    """The file of that folder for a module, of the compiler that the folder names; None if there is none."""
    folder = _image_folder()
    made_by = None if folder is None else re.fullmatch(rb"(\d+)\.(\d+)\s*", _read(folder / MADE_BY) or b"")
    if folder is None or made_by is None:
        return None
    path = folder / cubin_name(module, architecture, (int(made_by[1]), int(made_by[2])))
    return path if path.is_file() else None


def _own_folder() -> Path | None:
    return private_folder("cuda")


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
