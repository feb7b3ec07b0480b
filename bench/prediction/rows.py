"""What one row of bench.kernels launches, as numbers: blocks, and items of each hot loop."""

from __future__ import annotations

from dataclasses import dataclass

from bench.sass.hot_loops import HotLoop

WARPS_PER_BLOCK = 8


@dataclass(frozen=True)
class Part:
    """`items`: how often a warp does what an item of `loop` is, in the whole launch; `outer`: turns of the enclosing
    loops, summed over warps, the outermost loop first (0: counted by another part)."""

    loop: HotLoop
    items: float
    outer: tuple[float, ...] = ()


@dataclass(frozen=True)
class Launch:
    """blocks of 256 threads; shared: dynamic bytes per block; early: nearly all threads leave at once."""

    kernel: str
    blocks: int
    parts: tuple[Part, ...] = ()
    shared: int = 0
    early: bool = False


@dataclass(frozen=True)
class Row:
    """nbytes are those of bench.kernels; `read` those of them that are read; outputs: values written, or counted.

    in_flight  bytes of one thread's loads that are under way together
    """

    name: str
    nbytes: int
    read: int
    outputs: int
    in_flight: int
    launches: tuple[Launch, ...]
