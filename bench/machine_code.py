"""What does the compiler make of each kernel? `python -m bench.machine_code [--kernel REGEX]`, without a GPU.

Registers, shared memory, parameters, instructions and loops of the machine code that NVRTC makes. Of each loop:

  body  instructions, nested loops included
  turn  instructions of one turn without those of nested loops, on the path with the most loads and stores
  then the turn's instructions by class

Needs the extra `nvrtc`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from bench.output import say
from bench.sass import mix
from bench.sass.kernel_code import KernelCode, module_code
from bench.sass.loops import Loop
from bench.sass.nvrtc import library, nvrtc
from bench.sass.occupancy import blocks_per_multiprocessor
from gpu_infer.backends.gpu_source import MODULES


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.machine_code", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", choices=MODULES, action="append", help="files of kernels/; all if not given")
    parser.add_argument("--kernel", default="", metavar="REGEX", help="kernels whose name has a match")
    parser.add_argument("--architecture", default="90", help="90 for sm_90 (H100, H200), which is the default")
    parser.add_argument("--cuda", type=int, choices=(12, 13), default=13, help="the compiler's major version")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if library(arguments.cuda) is None:
        sys.exit(f"no NVRTC of CUDA {arguments.cuda} is installed: pip install 'gpu-infer[nvrtc]'")
    found = [
        code
        for module in arguments.module or MODULES
        for name, code in module_code(module, arguments.architecture, arguments.cuda).items()
        if re.search(arguments.kernel, name)
    ]
    if not found:
        sys.exit(f"no kernel's name matches {arguments.kernel!r}")
    if arguments.json:
        sys.stdout.write(json.dumps([described(code) for code in found], indent=1) + "\n")
        return
    version = ".".join(map(str, nvrtc(arguments.cuda).version))
    say(f"sm_{arguments.architecture}, NVRTC {version}; blocks of 256 threads")
    for code in found:
        sys.stdout.write("\n".join(lines(described(code))) + "\n")


def described(code: KernelCode) -> dict[str, Any]:
    """All numbers of one kernel, for JSON."""
    resources = code.resources
    return {
        "kernel": code.name,
        "module": code.module,
        "registers": resources.registers,
        "blocks_per_multiprocessor": blocks_per_multiprocessor(resources.registers),
        "stack_bytes": resources.stack,
        "shared_bytes": code.shared,
        "parameter_bytes": resources.parameters,
        "instructions": code.instructions,
        "subroutines": list(code.code.subroutines),
        "classes": mix.count(code.code.instructions),
        "loops": [_loop(loop) for loop in code.loops],
    }


def _loop(loop: Loop) -> dict[str, Any]:
    return {
        "offset": loop.head * 16,
        "body": len(loop.body),
        "turn": len(loop.path),
        "classes": mix.count(loop.path),
        "loops": [_loop(inner) for inner in loop.inner],
    }


def lines(kernel: dict[str, Any]) -> list[str]:
    """The same for people."""
    blocks = kernel["blocks_per_multiprocessor"]
    head = (
        f"{kernel['kernel']}: {kernel['registers']} registers ({blocks} blocks per SM), "
        f"{kernel['shared_bytes']} B shared, {kernel['parameter_bytes']} B parameters, "
        f"{kernel['instructions']} instructions"
    )
    if kernel["stack_bytes"]:
        head += f", {kernel['stack_bytes']} B stack"
    if kernel["subroutines"]:
        head += f", subroutines {', '.join(kernel['subroutines'])}"
    return [head, *(line for loop in kernel["loops"] for line in _loop_lines(loop, 1))]


def _loop_lines(loop: dict[str, Any], depth: int) -> list[str]:
    classes = ", ".join(f"{n} {name}" for name, n in loop["classes"].items())
    line = f"{'  ' * depth}loop at {loop['offset']:#06x}: body {loop['body']}, turn {loop['turn']}: {classes}"
    return [line, *(text for inner in loop["loops"] for text in _loop_lines(inner, depth + 1))]


if __name__ == "__main__":
    main()
