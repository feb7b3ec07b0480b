"""The instructions of every kernel of a cubin, from nvdisasm's text (wheel `nvidia-cuda-nvdisasm`)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_KERNEL = re.compile(r"^\s*\.section\s+\.text\.([\w$]+),")
_LABEL = re.compile(r"^(\.?[\w$.]+):$")
_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(?:(@!?U?P\w+)\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_TARGET = re.compile(r"`\(([^)]+)\)")
_TARGETS = re.compile(r'BRANCH_TARGETS ([^"]+)"')


@dataclass(frozen=True)
class Instruction:
    """predicate is "" or "@P0", "@!P0"; opcode has its modifiers, "LDG.E.64"; targets are labels."""

    predicate: str
    opcode: str
    operands: str
    targets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The opcode without modifiers."""
        return self.opcode.partition(".")[0]


@dataclass
class Code:
    """Instructions of one kernel, then of its subroutines; labels are indices of instructions.

    subroutines  label → index of the first instruction, in order of place
    """

    name: str
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def subroutines(self) -> dict[str, int]:
        return {label: at for label, at in self.labels.items() if label.startswith("$")}

    @property
    def main(self) -> list[Instruction]:
        """The kernel without its subroutines."""
        return self.instructions[: min(self.subroutines.values(), default=len(self.instructions))]

    def by_routine(self) -> Iterator[tuple[str, Instruction]]:
        """(label of the subroutine, "" of the kernel itself; instruction) for every instruction."""
        starts = {at: label for label, at in self.subroutines.items()}
        routine = ""
        for n, instruction in enumerate(self.instructions):
            routine = starts.get(n, routine)
            yield routine, instruction


def find_nvdisasm() -> Path | None:
    """The program of the installed wheel, or None."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    programs = (path for folder in folders or () for path in sorted(Path(folder).glob("*/bin/nvdisasm")))
    return next(programs, None)


def disassemble(cubin: bytes) -> dict[str, Code]:
    """Kernel name → code. FileNotFoundError if nvdisasm is not installed, RuntimeError with its message if it fails."""
    program = find_nvdisasm()
    if program is None:
        raise FileNotFoundError("nvdisasm is not installed: pip install 'gpu-infer[nvrtc]'")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(
            [program, "-c", file.name], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    if done.returncode:
        raise RuntimeError(f"nvdisasm failed: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(text: str) -> dict[str, Code]:
    """Kernel name → code, of the text that `nvdisasm -c` prints."""
    codes: dict[str, Code] = {}
    current = Code("")
    for line in text.splitlines():
        if section := _KERNEL.match(line):
            current = codes.setdefault(section[1], Code(section[1]))
        elif label := _LABEL.match(line):
            current.labels[label[1]] = len(current.instructions)
        elif instruction := _INSTRUCTION.match(line):
            operands = instruction[4]
            table = _TARGETS.search(line)
            targets = table[1].split(",") if table else _TARGET.findall(operands)
            current.instructions.append(
                Instruction(instruction[2] or "", instruction[3], operands, tuple(t.strip() for t in targets))
            )
    return codes
