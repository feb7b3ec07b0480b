"""What does the compiler make of each kernel? `python -m bench.machine_code [--kernel REGEX]`, without a GPU.

Registers, shared memory, parameters, instructions and loops of the machine code that NVRTC makes. Of each loop:

  body  instructions, nested loops included
  turn  instructions of one turn without those of nested loops, on the path with the most loads and stores
  then the turn's instructions by class

  --predict   what bench.kernels may be expected to measure, from these numbers; --readme writes it into bench/README.md
  --budgets   the table of tests/nvrtc/instruction_budgets.json anew

Needs the extra `nvrtc`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.kernels import FULL
from bench.prediction import table
from bench.sass import budgets, mix
from bench.sass.disassembly import find_nvdisasm
from bench.sass.kernel_code import KernelCode, module_code
from bench.sass.loops import Loop
from bench.sass.nvrtc import LIBRARIES, library, nvrtc
from bench.sass.occupancy import blocks_per_multiprocessor
from bench.support.output import say
from gpu_infer.backends.gpu.compile.source import MODULES


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.machine_code", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", choices=MODULES, action="append", help="files of kernels/; all if not given")
    parser.add_argument("--kernel", default="", metavar="REGEX", help="kernels whose name has a match")
    parser.add_argument("--architecture", default="90", help="90 for sm_90 (H100, H200), which is the default")
    parser.add_argument("--cuda", type=int, choices=sorted(LIBRARIES), default=13, help="the compiler's major version")
    parser.add_argument("--json", action="store_true", help="of kernels or of the prediction")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--predict", action="store_true", help="the rows of bench.kernels on H200 and L4")
    other.add_argument("--budgets", action="store_true", help="instructions per hot loop, of all installed NVRTCs")
    parser.add_argument("--before", type=Path, metavar="FILE", help="JSON of an earlier --predict to compare with")
    parser.add_argument("--readme", action="store_true", help="with --predict: write the table into bench/README.md")
    arguments = parser.parse_args()
    if (arguments.before or arguments.readme) and not arguments.predict:
        parser.error("--before and --readme go with --predict")
    if library(arguments.cuda) is None or find_nvdisasm() is None:
        sys.exit(f"no NVRTC of CUDA {arguments.cuda} or no nvdisasm: pip install 'gpu-infer[nvrtc]' brings both")
    if arguments.predict:
        _predict(arguments)
    elif arguments.budgets:
        sys.stdout.write(json.dumps(_budgets(arguments.architecture), indent=1) + "\n")
    else:
        _show(arguments)


def _predict(arguments: argparse.Namespace) -> None:
    numbers = table.predictions(*FULL, arguments.cuda)
    if arguments.json:
        sys.stdout.write(json.dumps(numbers, indent=1) + "\n")
        return
    before = json.loads(arguments.before.read_text(encoding="utf-8")) if arguments.before else None
    version = ".".join(map(str, nvrtc(arguments.cuda).version))
    paragraph = textwrap.fill(
        table.notes(version, compared=before is not None), 120, break_long_words=False, break_on_hyphens=False
    )
    text = f"{table.markdown(numbers, before)}\n{paragraph}\n"
    if arguments.readme:
        table.write_readme(text)
        say("wrote the predictions into bench/README.md")
    else:
        sys.stdout.write(text)


def _budgets(architecture: str) -> dict[str, float]:
    loops = table.hot_loops(*FULL)
    return budgets.largest(
        budgets.count_instructions(loops, {code.name: code for code in _codes(MODULES, architecture, major)})
        for major in LIBRARIES
        if library(major) is not None
    )


def _codes(modules: Sequence[str], architecture: str, major: int) -> list[KernelCode]:
    return [code for module in modules for code in module_code(module, architecture, major).values()]


def _show(arguments: argparse.Namespace) -> None:
    codes = _codes(arguments.module or MODULES, arguments.architecture, arguments.cuda)
    matches = [code for code in codes if re.search(arguments.kernel, code.name)]
    if not matches:
        sys.exit(f"no kernel's name matches {arguments.kernel!r}")
    if arguments.json:
        sys.stdout.write(json.dumps([describe(code) for code in matches], indent=1) + "\n")
        return
    version = ".".join(map(str, nvrtc(arguments.cuda).version))
    say(f"sm_{arguments.architecture}, NVRTC {version}")
    for code in matches:
        sys.stdout.write("\n".join(lines(describe(code))) + "\n")


def describe(code: KernelCode) -> dict[str, Any]:
    """All numbers of one kernel, for JSON."""
    resources = code.resources
    return {
        "kernel": code.name,
        "module": code.module,
        "registers": resources.registers,
        "blocks_per_multiprocessor": blocks_per_multiprocessor(resources.registers, threads=resources.threads),
        "threads": resources.threads,
        "stack_bytes": resources.stack,
        "shared_bytes": code.reported.shared,
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
        f"{kernel['kernel']}: {kernel['registers']} registers ({blocks} blocks of {kernel['threads']} threads per SM), "
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
