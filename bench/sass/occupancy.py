"""How many blocks fit on a multiprocessor."""

from __future__ import annotations

REGISTERS = 65_536
"""Per multiprocessor, on every card from sm_80 on; allocated to warps in units of 256."""


def blocks_per_multiprocessor(
    registers: int, *, threads: int = 256, warps: int = 64, shared: int = 0, shared_size: int = 228 << 10
) -> int:
    """Blocks at once.

    registers    per thread
    warps        that a multiprocessor holds: 64 on sm_80, sm_90 and sm_100, 48 on sm_86, sm_89 and sm_120
    shared       bytes per block, dynamic ones included; shared_size  bytes per multiprocessor
    """
    per_block = threads // 32
    per_warp = -(-registers * 32 // 256) * 256
    by_registers = REGISTERS // per_warp // per_block
    by_shared = shared_size // shared if shared else by_registers
    return min(by_registers, warps // per_block, by_shared)
