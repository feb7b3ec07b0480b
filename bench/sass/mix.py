"""Instructions of a loop by class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from bench.sass.disassembly import Instruction

_MEMORY = {"LDG", "STG", "LDS", "STS", "LDL", "STL", "LD", "ST"}
_WIDTHS = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "64": 64, "128": 128}
_CLASSES = {
    "FFMA": ("FFMA", "FFMA32I"),
    "FADD/FMUL": ("FADD", "FMUL", "FADD32I", "FMUL32I"),
    "compare": ("FSETP", "FSEL", "FMNMX", "FSET", "FCHK"),
    "double": ("DADD", "DMUL", "DFMA", "DSETP"),
    "half": ("HADD2", "HMUL2", "HFMA2", "HSETP2"),
    "convert": ("I2F", "I2FP", "F2I", "F2F", "F2FP", "I2I", "FRND"),
    "MUFU": ("MUFU",),
    "IMAD": ("IMAD", "UIMAD"),
    "atomic": ("ATOM", "ATOMG", "ATOMS", "RED", "REDG", "REDS"),
    "barrier": ("BAR", "WARPSYNC", "MEMBAR"),
    "branch": ("BRA", "BRX", "JMP", "BSSY", "BSYNC", "EXIT", "RET", "YIELD", "BREAK"),
    "CALL": ("CALL",),
}
_BY_NAME = {name: group for group, names in _CLASSES.items() for name in names}
_NO_PRODUCT = re.compile(r"^U?IMAD\.(MOV|IADD|SHL|X\b)")


def width(instruction: Instruction) -> int:
    """Bits per thread of a load or store."""
    return next((_WIDTHS[m] for m in instruction.opcode.split(".")[1:] if m in _WIDTHS), 32)


def group(instruction: Instruction) -> str:
    """Class of one instruction; "integer" for all without another class. Moves by IMAD are integer, too."""
    name = instruction.name
    if name in _MEMORY:
        return f"{name}.{width(instruction)}"
    if _NO_PRODUCT.match(instruction.opcode):
        return "integer"
    return _BY_NAME.get(name, "integer")


def count(instructions: Iterable[Instruction]) -> dict[str, int]:
    """Class → instructions, the most frequent first; without the padding after a kernel."""
    classes = Counter(group(instruction) for instruction in instructions if instruction.name != "NOP")
    return dict(classes.most_common())
