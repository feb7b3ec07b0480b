"""What one row of bench.kernels launches, as numbers: blocks, and items of each hot loop."""

from __future__ import annotations

from dataclasses import dataclass

from bench.sass.hot_loops import HotLoop


@dataclass(frozen=True)
class Part:
    """`items`: how often a warp processes an item of `loop` in the whole launch; `outer`: turns of the enclosing
    loops, summed over warps, the outermost loop first (0: counted by another part)."""

    loop: HotLoop
    items: float
    outer: tuple[float, ...] = ()


@dataclass(frozen=True)
class Launch:
    """blocks of `threads`, with `shared` dynamic bytes each.

    early    nearly all threads leave at once
    through  as that of a hot loop, for the path from the kernel's start to its end
    """

    kernel: str
    blocks: int
    parts: tuple[Part, ...] = ()
    shared: int = 0
    early: bool = False
    threads: int = 256
    through: str = ""

    @property
    def warps(self) -> int:
        return self.blocks * self.warps_per_block

    @property
    def warps_per_block(self) -> int:
        return self.threads // 32


@dataclass(frozen=True)
class Row:
    """nbytes are those of bench.kernels; `read` those of them that are read; outputs: values written, or counted.

    in_flight  bytes of one thread's loads in flight together
    """

    name: str
    nbytes: int
    read: int
    outputs: int
    in_flight: int
    launches: tuple[Launch, ...]
