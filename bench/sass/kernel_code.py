"""One compiled kernel: its resources, instructions and loops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.sass.cubin import Function, kernels
from bench.sass.disassembly import Code, disassemble
from bench.sass.loops import Loop, loops_of
from bench.sass.nvrtc import Compiled, Resources, compile_once, nvrtc
from gpu_infer.backends.gpu.compile.source import compile_options, kernel_source


@dataclass(frozen=True)
class KernelCode:
    """One kernel: `resources` as the cubin states them, `reported` as the assembler does; `loops` are its outermost."""

    module: str
    resources: Function
    reported: Resources
    code: Code
    loops: list[Loop]

    @property
    def name(self) -> str:
        return self.resources.name

    @property
    def instructions(self) -> int:
        """Subroutines included, padding not."""
        return sum(i.name != "NOP" for i in self.code.instructions)


def compile_module(module: str, architecture: str, major: int, folder: Path | None = None) -> Compiled:
    """One file of kernels/ compiled by NVRTC of CUDA `major`; `folder` caches the result. RuntimeError with the
    compiler's log if it does not compile."""
    compiled = compile_once(nvrtc(major), kernel_source(module), f"{module}.cu", compile_options(architecture), folder)
    if not compiled.ok:
        raise RuntimeError(f"{module}.cu does not compile for sm_{architecture}:\n{compiled.log}")
    return compiled


def module_code(module: str, architecture: str, major: int, folder: Path | None = None) -> dict[str, KernelCode]:
    """Kernel name → code, in the order of names."""
    compiled = compile_module(module, architecture, major, folder)
    resources, codes = kernels(compiled.cubin), disassemble(compiled.cubin)
    return {
        n: KernelCode(module, resources[n], compiled.kernels[n], codes[n], loops_of(codes[n])) for n in sorted(codes)
    }
