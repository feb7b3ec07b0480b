"""Basic blocks of a kernel and the edges between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.sass.disassembly import Code, Instruction

_ENDS = {"EXIT", "RET"}
_JUMPS = {"BRA", "BRX", "JMP"}


@dataclass
class Block:
    """Instructions begin … end - 1 and the blocks that may follow; `exits` if the kernel may end after it."""

    begin: int
    end: int
    exits: bool
    following: list[int] = field(default_factory=list)


def blocks_of(code: Code) -> list[Block]:
    """Basic blocks of the kernel without its subroutines; the first is the entry."""
    main = code.main
    at = {label: index for label, index in code.labels.items() if index < len(main)}
    starts = {0, *(at[t] for i in main for t in i.targets if t in at)}
    starts |= {n + 1 for n, i in enumerate(main) if i.name in _ENDS | _JUMPS and n + 1 < len(main)}
    ordered = sorted(starts)
    number = {begin: n for n, begin in enumerate(ordered)}
    ends = [*ordered[1:], len(main)]
    blocks = [Block(begin, end, main[end - 1].name == "EXIT") for begin, end in zip(ordered, ends, strict=True)]
    for n, block in enumerate(blocks):
        last = main[block.end - 1]
        if last.name in _JUMPS:
            block.following += [number[at[t]] for t in last.targets if t in at]
        if n + 1 < len(blocks) and _falls_through(last):
            block.following.append(n + 1)
    return blocks


def _falls_through(last: Instruction) -> bool:
    if last.name not in _ENDS | _JUMPS:
        return True
    return bool(last.predicate) or (last.name == "BRA" and not last.operands.startswith("`"))
