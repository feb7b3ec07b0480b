"""Loops of a kernel: the natural loops of its control flow graph.

A back edge leads to a block that dominates its origin; its loop is every block from which the origin is reached without
that head. Loops of one head are one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.sass.disassembly import Code, Instruction

_ENDS = {"EXIT", "RET"}
_JUMPS = {"BRA", "BRX", "JMP"}
_ACCESSES = {"LDG", "STG", "LDS", "STS"}


@dataclass
class Block:
    """Instructions begin … end - 1, and the blocks that may follow."""

    begin: int
    end: int
    following: list[int] = field(default_factory=list)


@dataclass
class Loop:
    """head: index of its first instruction; depth 1 is outermost; body: with all that is nested, `own` without.

    path  instructions of one turn without those of nested loops: from head to head with the most loads and stores, and
          of such paths the shortest
    """

    head: int
    depth: int
    body: list[Instruction]
    own: list[Instruction]
    path: list[Instruction]
    inner: list[Loop] = field(default_factory=list)
    blocks: frozenset[int] = frozenset()


def blocks_of(code: Code) -> list[Block]:
    """Basic blocks of the kernel without its subroutines; the first is the entry."""
    main = code.main
    at = {label: index for label, index in code.labels.items() if index < len(main)}
    starts = {0, *(at[t] for i in main for t in i.targets if t in at)}
    starts |= {n + 1 for n, i in enumerate(main) if i.name in _ENDS | _JUMPS and n + 1 < len(main)}
    ordered = sorted(starts)
    number = {begin: n for n, begin in enumerate(ordered)}
    blocks = [Block(begin, end) for begin, end in zip(ordered, [*ordered[1:], len(main)], strict=True)]
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


def loops_of(code: Code) -> list[Loop]:
    """Outermost loops in order of place, the others nested in them."""
    blocks = blocks_of(code)
    dominators = _dominators(blocks)
    members: dict[int, set[int]] = {}
    before: list[list[int]] = [[] for _ in blocks]
    for n, block in enumerate(blocks):
        for following in block.following:
            before[following].append(n)
    for n, block in enumerate(blocks):
        for head in block.following:
            if n in dominators and head in dominators[n]:
                members.setdefault(head, {head}).update(_reaching(n, head, before))
    return _nested(code, blocks, members)


def _dominators(blocks: list[Block]) -> dict[int, set[int]]:
    order: list[int] = []
    seen = {0}
    stack = [0]
    while stack:  # reachable blocks alone
        n = stack.pop()
        order.append(n)
        for following in blocks[n].following:
            if following not in seen:
                seen.add(following)
                stack.append(following)
    order.sort()
    before: dict[int, list[int]] = {n: [] for n in order}
    for n in order:
        for following in blocks[n].following:
            before[following].append(n)
    dominators = {n: set(order) for n in order}
    dominators[0] = {0}
    changed = True
    while changed:
        changed = False
        for n in order[1:]:
            new = set.intersection(*(dominators[p] for p in before[n])) | {n}
            if new != dominators[n]:
                dominators[n], changed = new, True
    return dominators


def _reaching(end: int, head: int, before: list[list[int]]) -> set[int]:
    found, stack = {head, end}, [end] if end != head else []
    while stack:
        for previous in before[stack.pop()]:
            if previous not in found:
                found.add(previous)
                stack.append(previous)
    return found


def _nested(code: Code, blocks: list[Block], members: dict[int, set[int]]) -> list[Loop]:
    top: list[Loop] = []
    stack: list[Loop] = []
    for head in sorted(members, key=lambda h: (-len(members[h]), h)):
        holders = [loop for loop in stack if head in loop.blocks]
        parent = holders[-1] if holders else None
        inside = frozenset(members[head])
        loop = Loop(
            blocks[head].begin,
            parent.depth + 1 if parent else 1,
            _instructions(code, blocks, inside),
            [],
            [],
            blocks=inside,
        )
        (parent.inner if parent else top).append(loop)
        stack.append(loop)
    for loop in stack:
        nested = frozenset().union(*(inner.blocks for inner in loop.inner))
        loop.own = _instructions(code, blocks, loop.blocks - nested)
        head = next(n for n in loop.blocks if blocks[n].begin == loop.head)
        path = hot_path(code, blocks, head, loop.blocks, head)
        loop.path = _instructions(code, blocks, frozenset(path) - nested)
        loop.inner.sort(key=lambda inner: inner.head)
    return sorted(top, key=lambda loop: loop.head)


def _instructions(code: Code, blocks: list[Block], numbers: frozenset[int]) -> list[Instruction]:
    return [i for n in sorted(numbers) for i in code.instructions[blocks[n].begin : blocks[n].end]]


def hot_path(code: Code, blocks: list[Block], start: int, inside: frozenset[int], goal: int) -> list[int]:
    """Blocks from `start` to an edge that leads to `goal`, with the most loads and stores, then the fewest
    instructions; no block twice along back edges."""
    memo: dict[int, tuple[int, int, list[int]] | None] = {}
    active: set[int] = set()

    def best(n: int) -> tuple[int, int, list[int]] | None:
        if n in memo:
            return memo[n]
        active.add(n)
        block = code.instructions[blocks[n].begin : blocks[n].end]
        accesses, length = sum(i.name in _ACCESSES for i in block), len(block)
        choices: list[tuple[int, int, list[int]]] = [(0, 0, [])] if goal in blocks[n].following else []
        for following in blocks[n].following:
            if following in inside and following != goal and following not in active:
                further = best(following)
                if further is not None:
                    choices.append(further)
        active.discard(n)
        chosen = max(choices, key=lambda c: (c[0], -c[1]), default=None)
        memo[n] = None if chosen is None else (accesses + chosen[0], length + chosen[1], [n, *chosen[2]])
        return memo[n]

    found = best(start)
    return found[2] if found else [start]
