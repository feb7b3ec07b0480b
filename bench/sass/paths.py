"""The most frequent path through a part of a kernel, as far as the instructions show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from bench.sass.blocks import Block
from bench.sass.disassembly import Code, Instruction

_ACCESSES = {"LDG", "STG", "LDS", "STS"}


def instructions_of(code: Code, blocks: list[Block], numbers: Iterable[int]) -> list[Instruction]:
    """Instructions of these blocks in order of place."""
    return [i for n in sorted(numbers) for i in code.instructions[blocks[n].begin : blocks[n].end]]


def is_access(instruction: Instruction) -> bool:
    """Whether it loads or stores, in global or shared memory."""
    return instruction.name in _ACCESSES


def best_path(
    code: Code,
    blocks: list[Block],
    start: int,
    inside: Collection[int],
    goal: int | None,
    seeks: Callable[[Instruction], bool] | None,
) -> list[int]:
    """Blocks from `start` to an edge that leads to `goal` (None: to an end of the kernel), each at most once.

    The path has the most instructions for which `seeks` is true, then the fewest instructions, those of its calls
    included. Only blocks in `inside` are on it.
    """
    ends = sorted([*code.subroutines.values(), len(code.instructions)])
    lengths = {label: ends[ends.index(at) + 1] - at for label, at in code.subroutines.items()}
    memo: dict[int, tuple[int, int, list[int]] | None] = {}
    active: set[int] = set()

    def best(n: int) -> tuple[int, int, list[int]] | None:
        if n in memo:
            return memo[n]
        active.add(n)
        block = code.instructions[blocks[n].begin : blocks[n].end]
        hits = 0 if seeks is None else sum(seeks(i) for i in block)
        length = len(block) + sum(lengths.get(i.targets[0], 0) for i in block if i.name == "CALL" and i.targets)
        at_goal = blocks[n].exits if goal is None else goal in blocks[n].following
        choices: list[tuple[int, int, list[int]]] = [(0, 0, [])] if at_goal else []
        for following in blocks[n].following:
            if following in inside and following != goal and following not in active:
                further = best(following)
                if further is not None:
                    choices.append(further)
        active.discard(n)
        choice = max(choices, key=lambda c: (c[0], -c[1]), default=None)
        memo[n] = None if choice is None else (hits + choice[0], length + choice[1], [n, *choice[2]])
        return memo[n]

    path = best(start)
    return path[2] if path else [start]
