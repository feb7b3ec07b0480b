"""Device memory: a pool that is kept from case to case, and dedicated blocks that another process may open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.gpu.device.cupy_import import cupy
from gpu_infer.backends.types import DeviceArray
from gpu_infer.errors import DeviceError, ResourceError

log = logging.getLogger(__name__)

GRANULE = 256 << 20
"""Bytes that the pool takes from the driver at least: what one case leaves behind serves the next of another shape."""

SMALL = 2 << 20
"""Where memory is short, arrays of at least so many bytes are allocations of their own."""

SMALL_PIECE = 8 << 20
"""Bytes for the arrays below that, in one piece: tables, counts."""

BLOCK_ALIGNMENT = 2 << 20
"""A CUDA-IPC handle opens whole 2 MiB pages; a block that shares none shows nobody anything else."""

_REMEDY = "use fewer slots or a smaller batch_size, free the GPU of other programs, or run with --device cpu"


class DeviceMemory:
    """All memory of one device. Safe to use from any thread.

    allocations  calls of cudaMalloc so far
    peak         most bytes in use at a time, of arrays and of blocks
    """

    def __init__(self, device: int) -> None:
        self.device = device
        self.allocations = 0
        self.peak = 0
        self._blocks_in_use = 0
        self._planned = 0  # bytes in use when everything is that was reserved last
        self._pool = cupy.cuda.MemoryPool(self._from_driver)
        self._pool.set_limit(size=0)  # CUPY_GPU_MEMORY_LIMIT is for CuPy's own pool: `free_bytes` knows nothing of it
        self._short = False
        self._small: Any = None
        self._idle: list[_Block] = []
        self._lost: list[_Block] = []
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> Any:
        """A MemoryPointer of `nbytes` from the pool. ResourceError where the device has not that much."""
        found = self._take(max(1, nbytes))
        self._note_peak()
        return found

    def _take(self, nbytes: int) -> Any:
        try:
            self._make_room(nbytes)
            return self._pool.malloc(nbytes)
        except cupy.cuda.memory.OutOfMemoryError:
            pass
        if not self._drop_idle():
            raise self._out_of_memory(nbytes)
        try:
            return self._pool.malloc(nbytes)
        except cupy.cuda.memory.OutOfMemoryError as error:
            raise self._out_of_memory(nbytes) from error

    def reserve(self, nbytes: int, beside: int = 0) -> None:
        """Have `nbytes` in the pool in one piece, so that nothing is allocated while a case runs. Best effort.

        beside  bytes of a block that is made later

        In a piece that arrays share, gaps are left that suit none of the next, and it cannot give way to the block.
        Where the device has not twice as much as is asked for, every larger array of the case is therefore an
        allocation of its own: slower, but what was planned fits.
        """
        available = self.free_bytes() - beside
        self._planned = self._in_use() + nbytes + _paged(beside)
        self._short = 2 * nbytes + GRANULE > available
        if nbytes > available:
            return
        if self._short:
            self._pool.free_all_blocks()
            if self._small is None:
                self._grow(SMALL_PIECE)
                self._small = self._pool.malloc(1)  # with a part in use the piece stays in the pool
        elif self._pool.free_bytes() < nbytes:
            self._pool.free_all_blocks()
            self._grow(_granules(nbytes))

    def _make_room(self, nbytes: int) -> None:
        """Before `nbytes` are taken from the pool: let it grow, or give back what would be split."""
        held = int(self._pool.free_bytes())
        if not self._short:
            if held < nbytes:
                self._grow(_granules(nbytes))
        elif nbytes >= SMALL and held - nbytes >= SMALL_PIECE:
            self._pool.free_all_blocks()

    def free_bytes(self) -> int:
        """What the driver has left, what the pool holds unused, and blocks that wait for their next use."""
        with self._lock:
            return self._unused()

    def _unused(self) -> int:
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free) + int(self._pool.free_bytes()) + sum(block.nbytes for block in self._idle)

    def _in_use(self) -> int:
        return int(self._pool.used_bytes()) + self._blocks_in_use

    # -- blocks ---------------------------------------------------------------------------------------------------
    def block(self, nbytes: int) -> DeviceBlock:
        """A block of at least `nbytes`, a used one where one fits.

        Raises ResourceError where the device has not that much, DeviceError where it cannot be shared.
        """
        if nbytes <= 0:
            raise ValueError(f"nbytes must be positive, not {nbytes}")
        with self._lock:
            block = self._idle_block(nbytes)
            if block is not None:
                self._idle.remove(block)
        block = block or self._new_block(_paged(nbytes))
        self._blocks_in_use += block.nbytes
        self._note_peak()
        return DeviceBlock(self, block)

    def give_back(self, block: _Block, *, reuse: bool) -> None:
        """Keep the block for the next case, the newest two of them; or only out of everybody's way."""
        with self._lock:
            if not reuse:
                log.warning("%d MiB of GPU memory stay taken: a server may still write to them", block.nbytes >> 20)
                self._lost.append(block)
                return
            self._blocks_in_use -= block.nbytes
            self._idle.append(block)
            spare = self._idle[:-2]
            del self._idle[:-2]
        for old in spare:
            old.free()

    def _idle_block(self, nbytes: int) -> _Block | None:
        """The smallest block that waits for its next use and suits `nbytes`.

        A larger one only where the rest of what `reserve` was asked for fits beside it; else it gives way.
        """
        size = _paged(nbytes)
        rest = self._planned - self._in_use() - size
        spare = self._unused() - max(0, rest)
        fitting = [b for b in self._idle if b.nbytes == size or size < b.nbytes <= min(2 * size, spare)]
        return min(fitting, key=lambda block: block.nbytes, default=None)

    def _new_block(self, size: int) -> _Block:
        for attempt in range(2):
            try:
                pointer = int(cupy.cuda.runtime.malloc(size))
            except cupy.cuda.runtime.CUDARuntimeError as error:
                if error.status != _OUT_OF_MEMORY:
                    raise
                self._pool.free_all_blocks()
                self._drop_idle()
                if attempt:
                    raise self._out_of_memory(size) from error
            else:
                self.allocations += 1
                return _Block(pointer, size)
        raise AssertionError("not reached")

    def forget_peak(self) -> None:
        """Measure the peak from what is in use now."""
        self.peak = 0
        self._note_peak()

    def _note_peak(self) -> None:
        self.peak = max(self.peak, self._in_use())

    def _drop_idle(self) -> bool:
        with self._lock:
            dropped, self._idle = self._idle, []
        for block in dropped:
            block.free()
        return bool(dropped)

    # -- pool -------------------------------------------------------------------------------------------------------
    def _from_driver(self, nbytes: int) -> Any:
        self.allocations += 1
        return cupy.cuda.MemoryPointer(cupy.cuda.Memory(nbytes), 0)

    def _grow(self, size: int) -> None:
        """Put a piece of `size` bytes into the pool, which splits it as it is asked; none where memory is short."""
        free, _ = cupy.cuda.runtime.memGetInfo()
        if size > free:
            return
        try:
            self._pool.malloc(size)
        except cupy.cuda.memory.OutOfMemoryError:
            log.debug("no %d MiB in one piece, taking exactly what is needed", size >> 20)

    def _out_of_memory(self, nbytes: int) -> ResourceError:
        return ResourceError(
            f"cannot allocate {nbytes >> 20} MiB of GPU memory, {self.free_bytes() >> 20} MiB are free", remedy=_REMEDY
        )


def _granules(nbytes: int) -> int:
    return -(-nbytes // GRANULE) * GRANULE


def _paged(nbytes: int) -> int:
    return -(-nbytes // BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT


_OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation."""


class _Block:
    """One cudaMalloc of its own, freed where CUDA IPC gives no handle of it (DeviceError)."""

    def __init__(self, pointer: int, nbytes: int) -> None:
        self.pointer = pointer
        self.nbytes = nbytes
        try:
            self.handle = bytes(cupy.cuda.runtime.ipcGetMemHandle(pointer))
        except cupy.cuda.runtime.CUDARuntimeError as error:
            self.free()  # fails too where it is the GPU that failed, in an earlier operation: no refusal then
            # no remedy: whoever asked for a block that another process opens knows what the two processes need
            raise DeviceError(f"CUDA IPC cannot export GPU memory: {error}") from error

    def free(self) -> None:
        if self.pointer:
            cupy.cuda.runtime.free(self.pointer)
            self.pointer = 0


class DeviceBlock:
    """Memory for slots that a server opens by its handle. Fulfils `triton.registration.DeviceArena`.

    nbytes      as asked, rounded up to 2 MiB
    ipc_handle  cudaIpcMemHandle_t, 64 bytes
    in_use_by_server   set where a server could not be told to let go: it may write late, so that the memory is neither
                used again nor freed before the process ends
    """

    def __init__(self, memory: DeviceMemory, block: _Block) -> None:
        self._memory = memory
        self._block: _Block | None = block
        self.nbytes = block.nbytes
        self.ipc_handle = block.handle
        self.device = memory.device
        self.in_use_by_server = False

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """C-ordered device array over the block from `offset` bytes on; ValueError when it does not fit."""
        if self._block is None:
            raise ValueError("the block is closed")
        kind = np.dtype(dtype)
        needed = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if offset < 0 or offset + needed > self.nbytes:
            raise ValueError(f"a view of {needed} bytes at {offset} does not fit a block of {self.nbytes} bytes")
        memory = cupy.cuda.UnownedMemory(self._block.pointer, self.nbytes, self._block, self.device)
        return cupy.ndarray(tuple(shape), kind, cupy.cuda.MemoryPointer(memory, offset))

    def close(self) -> None:
        """Hand the memory back for the next case; views are dead afterwards. More than once without harm."""
        if self._block is not None:
            self._memory.give_back(self._block, reuse=not self.in_use_by_server)
            self._block = None
