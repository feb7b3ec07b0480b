"""Loops in which a kernel spends its time, named by what they do: they are met again after the compiler, or a change of
the source, has moved, unrolled or widened them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from bench.sass import mix
from bench.sass.disassembly import Code, Instruction
from bench.sass.kernel_code import KernelCode
from bench.sass.loops import Loop, turn_of


def matches(pattern: str, instruction: Instruction) -> bool:
    """Whether the class or the opcode begins with `pattern`."""
    return any(re.match(pattern, name) for name in (mix.group(instruction), instruction.opcode))


@dataclass(frozen=True)
class HotLoop:
    """Among the loops of `kernel` the one with the fewest instructions per item.

    event       pattern of the class of instructions that every item has, "STG" or "STS.32", see `mix.group`
    item_bytes  bytes that one item moves by them, per thread; 0: an item is one such instruction
    loads       LDG instructions per item, if that distinguishes variants
    depth       of the loop, 1 for an outermost one, if that distinguishes variants
    through     pattern of the classes or opcodes of which the path through the loop has the most, if not of all loads
                and stores: it chooses the cases of a switch
    """

    kernel: str
    event: str
    item_bytes: int = 0
    loads: int | None = None
    depth: int | None = None
    through: str = ""

    def __str__(self) -> str:
        variant = "" if self.loads is None else f", {self.loads} loads"
        if self.depth is not None:
            variant += f", depth {self.depth}"
        event = self.event.replace("\\", "")
        size = f", {self.item_bytes} B" if self.item_bytes else ""
        return f"{self.kernel}: {event}{size}{variant}"

    def turn(self, code: Code, loop: Loop) -> list[Instruction]:
        """Instructions of one turn of `loop` on the path that `hot` names."""
        if not self.through:
            return loop.path
        return turn_of(code, loop, partial(matches, self.through))

    def items(self, turn: list[Instruction]) -> float:
        """Items of one turn."""
        matches = [i for i in turn if re.match(self.event, mix.group(i))]
        return sum(mix.width(i) for i in matches) / 8 / self.item_bytes if self.item_bytes else len(matches)


@dataclass(frozen=True)
class Cost:
    """instructions, double: per item, float64 ones among them; items per turn; enclosing loops, the outermost first."""

    instructions: float
    double: float
    items: float
    enclosing: tuple[Loop, ...]


def cost(hot: HotLoop, code: KernelCode) -> Cost:
    """LookupError if no loop of the kernel has the event."""
    costs = []
    for chain in _chains(code.loops):
        if hot.depth not in (None, len(chain)):
            continue
        turn = hot.turn(code.code, chain[-1])
        items, loads = hot.items(turn), sum(i.name == "LDG" for i in turn)
        if items == 0 or (hot.loads is not None and loads != hot.loads * items):
            continue
        classes = mix.count(turn)
        length = sum(classes.values())
        costs.append(Cost(length / items, classes.get("double", 0) / items, items, chain[:-1]))
    if not costs:
        raise LookupError(
            f"no loop of {code.name} fits the hot loop {hot}: describe it anew in bench/prediction, where rows name it"
        )
    return min(costs, key=lambda c: c.instructions)


def _chains(loops: list[Loop], outer: tuple[Loop, ...] = ()) -> Iterator[tuple[Loop, ...]]:
    for loop in loops:
        yield (*outer, loop)
        yield from _chains(loop.inner, (*outer, loop))
