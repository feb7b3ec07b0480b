"""Host builds of the kernels, one library for each of our modules, by the simulator's compiler."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cudasim import compiler
from fakecuda.places import KERNELS
from fakecuda.stamps import build_once, key_of

from gpu_infer.backends.gpu.compile.source import MODULES, compile_options, kernel_source


def build_kernels() -> bool:
    """Build what has changed since it was built. Returns whether anything has."""
    KERNELS.mkdir(parents=True, exist_ok=True)
    names = {f"{module}.so" for module in MODULES}
    for path in KERNELS.glob("*.so"):
        if path.name not in names:
            path.unlink()
    with ThreadPoolExecutor(2) as threads:
        return any(list(threads.map(_build_module, MODULES)))


def _build_module(module: str) -> bool:
    def build(target: Path) -> None:
        program = compiler.create_program(kernel_source(module), module, (), ())
        compiler.compile_program(program, compile_options("90"))
        target.write_bytes(program.library)

    return build_once(KERNELS / f"{module}.so", key_of(kernel_source(module), str(compiler.get_version())), build)
