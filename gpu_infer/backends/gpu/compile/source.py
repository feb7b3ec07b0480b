"""Source text and options of the CUDA kernels. It imports no CuPy, so that a compiler alone can check them."""

from __future__ import annotations

import functools
import hashlib

from gpu_infer.system.resources import resource_folder

MODULES = (
    "prepare",
    "turn",
    "taps",
    "restore",
    "restore_argmax",
    "gather",
    "blend",
    "finish",
    "statistics",
    "ranges",
    "label_statistics",
    "masked",
    "components",
    "masks",
    "scores",
    "arrays",
    "convert",
)
"""One module per file of kernels/; its headers are put before it, so that no include path is needed."""

HEADERS = {
    "prepare": ("common.cuh", "planes.cuh"),
    "restore_argmax": ("common.cuh", "planes.cuh"),
    "arrays": ("common.cuh", "arrays.cuh"),
    "convert": ("common.cuh", "arrays.cuh"),
}
"""Headers of a module, `common.cuh` alone if it is not here."""

OPTIONS = ("-std=c++17", "--fmad=false")
"""Products and sums are rounded one by one, as on the CPU: both twins compute the same bits. Kernels wait for memory,
so that this costs nothing. Denormals and divisions keep NVRTC's exact defaults for the same reason."""


@functools.cache
def kernel_source(module: str) -> str:
    """The whole text of one module, with the line numbers of its files."""
    folder = resource_folder("kernels")
    files = (*HEADERS.get(module, ("common.cuh",)), f"{module}.cu")
    return "\n".join(f'#line 1 "{file}"\n{(folder / file).read_text(encoding="utf-8")}' for file in files)


def compile_options(architecture: str) -> tuple[str, ...]:
    """NVRTC's options for a real architecture, "90" for sm_90."""
    return (*OPTIONS, f"--gpu-architecture=sm_{architecture}")


def cubin_name(module: str, architecture: str, compiler: tuple[int, int]) -> str:
    """File name of a compiled module: it changes with the source, the options and the compiler's version."""
    key = "\0".join((kernel_source(module), *compile_options(architecture), str(compiler)))
    return f"{module}-sm_{architecture}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.cubin"
