"""Loops of a kernel: the natural loops of its control flow graph.

A back edge leads to a block that dominates its origin; its loop is every block from which the origin is reached without
that head. Loops of one head are one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.sass.blocks import Block, blocks_of
from bench.sass.disassembly import Code, Instruction
from bench.sass.paths import best_path, instructions_of, is_access


@dataclass
class Loop:
    """head: index of its first instruction; depth 1 is outermost; body: with all that is nested, `own` without.

    path  instructions of one turn without those of nested loops: from head to head with the most loads and stores, and
          of such paths the shortest
    lean  the same of the shortest path of all
    """

    head: int
    depth: int
    body: list[Instruction]
    own: list[Instruction]
    path: list[Instruction]
    lean: list[Instruction]
    inner: list[Loop] = field(default_factory=list)
    blocks: frozenset[int] = frozenset()


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
    members, stack = {head, end}, [end] if end != head else []
    while stack:
        for previous in before[stack.pop()]:
            if previous not in members:
                members.add(previous)
                stack.append(previous)
    return members


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
            instructions_of(code, blocks, inside),
            [],
            [],
            [],
            blocks=inside,
        )
        (parent.inner if parent else top).append(loop)
        stack.append(loop)
    for loop in stack:
        nested = frozenset().union(*(inner.blocks for inner in loop.inner))
        loop.own = instructions_of(code, blocks, loop.blocks - nested)
        loop.path = turn_of(code, loop, is_access)
        loop.lean = turn_of(code, loop, None)
        loop.inner.sort(key=lambda inner: inner.head)
    return sorted(top, key=lambda loop: loop.head)


def turn_of(code: Code, loop: Loop, seeks: Callable[[Instruction], bool] | None) -> list[Instruction]:
    """One turn without those of nested loops, on the path that `best_path` finds."""
    blocks = blocks_of(code)
    head = next(n for n in loop.blocks if blocks[n].begin == loop.head)
    path = best_path(code, blocks, head, loop.blocks, head, seeks)
    return instructions_of(code, blocks, set(path).difference(*(inner.blocks for inner in loop.inner)))


def straight_path(code: Code, seeks: Callable[[Instruction], bool] | None = is_access) -> list[Instruction]:
    """What every thread executes outside of loops, on the path from the kernel's start to its end that
    `best_path` finds."""
    blocks = blocks_of(code)
    path = best_path(code, blocks, 0, range(len(blocks)), None, seeks)
    looping = frozenset().union(*(loop.blocks for loop in loops_of(code)))
    return instructions_of(code, blocks, frozenset(path) - looping)
