"""Device memory: a pool that serves run after run, and dedicated blocks that another process may open."""

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
"""Least bytes that the pool takes from the driver: the free pieces of one run serve the next of another shape."""

SMALL = 2 << 20
"""If memory is short, arrays of at least so many bytes are separate allocations."""

SMALL_PIECE = 8 << 20
"""Bytes for the smaller arrays, in one piece: tables, counts."""

BLOCK_ALIGNMENT = 2 << 20
"""A CUDA-IPC handle opens whole 2 MiB pages: a block that shares none exposes no other memory."""

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
        self._planned = 0  # bytes in use once all of the last reservation is
        self._pool = cupy.cuda.MemoryPool(self._from_driver)
        self._pool.set_limit(size=0)  # CUPY_GPU_MEMORY_LIMIT is for CuPy's own pool: `free_bytes` ignores it
        self._short = False
        self._small: Any = None
        self._idle: list[_Block] = []
        self._lost: list[_Block] = []
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> Any:
        """A MemoryPointer of `nbytes` from the pool. Raises ResourceError if the device has too little memory."""
        pointer = self._take(max(1, nbytes))
        self._note_peak()
        return pointer

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
        """Take `nbytes` into the pool in one piece, so that nothing is allocated during a run. Best effort.

        beside  bytes of a block that is allocated later

        A piece that arrays share gets gaps that fit none of the next arrays, and it cannot be freed for the block. If
        the device has less than twice `nbytes`, every larger array of the run is therefore a separate allocation:
        slower, but the planned arrays fit.
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
        """Before `nbytes` are taken from the pool: let it grow, or free a piece that would be split."""
        pooled = int(self._pool.free_bytes())
        if not self._short:
            if pooled < nbytes:
                self._grow(_granules(nbytes))
        elif nbytes >= SMALL and pooled - nbytes >= SMALL_PIECE:
            self._pool.free_all_blocks()

    def free_bytes(self) -> int:
        """Free memory of the driver, unused memory of the pool, and blocks that wait for their next use."""
        with self._lock:
            return self._unused()

    def _unused(self) -> int:
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free) + int(self._pool.free_bytes()) + sum(block.nbytes for block in self._idle)

    def _in_use(self) -> int:
        return int(self._pool.used_bytes()) + self._blocks_in_use

    # -- blocks ---------------------------------------------------------------------------------------------------
    def block(self, nbytes: int) -> DeviceBlock:
        """A block of at least `nbytes`, an idle one if one fits.

        Raises ResourceError if the device has too little memory, DeviceError if it cannot be shared.
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
        """Keep the block for the next run, the newest two of them; without `reuse`, never use or free it again."""
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
        """The smallest idle block that fits `nbytes`.

        A larger one only if the rest of the last `reserve` fits in addition; else it is not used.
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
        """Start the peak at what is in use now."""
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
        """Put a piece of `size` bytes into the pool, which splits it on demand; none if memory is short."""
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
    """One cudaMalloc, freed again if CUDA IPC gives no handle of it (DeviceError)."""

    def __init__(self, pointer: int, nbytes: int) -> None:
        self.pointer = pointer
        self.nbytes = nbytes
        try:
            self.handle = bytes(cupy.cuda.runtime.ipcGetMemHandle(pointer))
        except cupy.cuda.runtime.CUDARuntimeError as error:
            self.free()  # fails too if the GPU failed in an earlier operation: that is no refusal of IPC
            # no remedy: the caller knows what the two processes need
            raise DeviceError(f"CUDA IPC cannot export GPU memory: {error}") from error

    def free(self) -> None:
        if self.pointer:
            cupy.cuda.runtime.free(self.pointer)
            self.pointer = 0


class DeviceBlock:
    """Memory for slots that a server opens by its handle. Fulfils `triton.registration.DeviceArena`.

    nbytes      the requested size, rounded up to 2 MiB
    ipc_handle  cudaIpcMemHandle_t, 64 bytes
    in_use_by_server  set if a server has not confirmed that it closed the memory: it may write late, so the memory is
                neither used again nor freed before the process ends
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
        """Return the memory for the next run; views are invalid afterwards. May be called more than once."""
        if self._block is not None:
            self._memory.give_back(self._block, reuse=not self.in_use_by_server)
            self._block = None
