"""Device memory's part: host memory that only kernels and explicit copies may touch."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import secrets
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cudasim.compiler import ASAN

CAPACITY = 6 << 30
"""Bytes of the simulated device, where a test does not say otherwise."""

GARBAGE = 0xCB
"""Fresh memory is not zero on a device either."""

_libc = ctypes.CDLL(None)
_libc.malloc.restype = ctypes.c_void_p
_libc.malloc.argtypes = [ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]

_MOST_FILLED = 64 << 20

SHM = Path("/dev/shm")


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class _State:
    used = 0  # bytes taken from the "driver"
    capacity = CAPACITY
    before = 0  # of these, what earlier tests still hold
    segments: ClassVar[dict[int, tuple[str, Any, int]]] = {}


def begin(capacity: int = CAPACITY) -> None:
    """A device of `capacity` free bytes, whatever earlier tests have left."""
    gc.collect()
    _State.capacity = capacity
    _State.before = _State.used


def mem_get_info() -> tuple[int, int]:
    return max(0, _State.capacity - (_State.used - _State.before)), _State.capacity


def _take(nbytes: int) -> None:
    if nbytes > mem_get_info()[0]:
        raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")
    _State.used += nbytes


def malloc(nbytes: int) -> int:
    """cudaMalloc; a POSIX segment, so that another process can open it as it would by CUDA IPC."""
    _take(nbytes)
    name = f"cudasim-{os.getpid()}-{secrets.token_hex(8)}"
    fd = os.open(SHM / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(fd, nbytes)
        pages = mmap.mmap(fd, nbytes)
    finally:
        os.close(fd)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    _State.segments[address] = (name, pages, nbytes)
    return address


def free(address: int) -> None:
    name, _, nbytes = _State.segments.pop(address)
    (SHM / name).unlink()
    _State.used -= nbytes


def free_all() -> None:
    for address in list(_State.segments):
        free(address)


def ipc_handle(address: int) -> bytes:
    """64 bytes that name the segment."""
    return _State.segments[address][0].encode().ljust(64, b"\0")


def segment_of(handle: bytes) -> str:
    """The key by which a server opens the memory behind a handle."""
    return "/" + handle.rstrip(b"\0").decode()


def memcpy(to: int, source: int, nbytes: int, kind: int, stream: int) -> None:
    assert kind in (1, 2)
    ctypes.memmove(to, source, nbytes)


class Memory:
    """`cupy.cuda.Memory`: one allocation of its own."""

    def __init__(self, nbytes: int) -> None:
        _take(nbytes)
        self.ptr = int(_libc.malloc(nbytes))
        self.size = nbytes
        weakref.finalize(self, _release, self.ptr, nbytes)


def _release(address: int, nbytes: int) -> None:
    _libc.free(address)
    _State.used -= nbytes


class UnownedMemory:
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr, self.size, self.owner = ptr, size, owner


class MemoryPointer:
    def __init__(self, mem: Any, offset: int) -> None:
        self.mem = mem
        self.ptr = mem.ptr + offset

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        ctypes.memset(self.ptr, value, size)


class _Chunk:
    """A piece of an allocation, given back to the pool with its last reference."""

    def __init__(self, pool: MemoryPool, source: Memory, ptr: int, size: int) -> None:
        self.ptr, self.size = ptr, size
        weakref.finalize(self, pool._give_back, source, ptr, size)


class MemoryPool:
    """`cupy.cuda.MemoryPool`: best fit, pieces split and joined again. Under AddressSanitizer every request is an
    allocation of its own, so that no neighbour hides an access out of bounds."""

    def __init__(self, allocator: Callable[[int], MemoryPointer]) -> None:
        self._allocator = allocator
        self._free: list[tuple[Memory, int, int]] = []
        self._used = 0
        self._limit = int(os.environ.get("CUPY_GPU_MEMORY_LIMIT", "0"))

    def set_limit(self, size: int) -> None:
        self._limit = size

    def malloc(self, size: int) -> MemoryPointer:
        if ASAN:
            return MemoryPointer(self._fresh(size), 0)
        size = -(-size // 512) * 512
        fitting = [piece for piece in self._free if piece[2] >= size]
        if fitting:
            source, ptr, length = min(fitting, key=lambda piece: piece[2])
            self._free.remove((source, ptr, length))
        else:
            source = self._fresh(size)
            ptr, length = source.ptr, size
        if length > size:
            self._free.append((source, ptr + size, length - size))
        self._used += size
        if size <= _MOST_FILLED:
            ctypes.memset(ptr, GARBAGE, size)
        return MemoryPointer(_Chunk(self, source, ptr, size), 0)

    def _fresh(self, size: int) -> Memory:
        if 0 < self._limit < self._used + size:
            raise OutOfMemoryError(f"{size} bytes are more than the limit")
        for attempt in range(2):
            try:
                return self._allocator(size).mem
            except CUDARuntimeError as error:
                if attempt:
                    raise OutOfMemoryError(str(error)) from error
                self.free_all_blocks()
        raise AssertionError

    def _give_back(self, source: Memory, ptr: int, size: int) -> None:
        self._used -= size
        for piece in [p for p in self._free if p[0] is source and (p[1] + p[2] == ptr or ptr + size == p[1])]:
            self._free.remove(piece)
            ptr, size = min(ptr, piece[1]), size + piece[2]
        self._free.append((source, ptr, size))

    def free_all_blocks(self) -> None:
        self._free = [p for p in self._free if p[2] != p[0].size]

    def free_bytes(self) -> int:
        if ASAN:
            return 1 << 40  # nothing has to be laid in store
        return sum(size for _, _, size in self._free)

    def used_bytes(self) -> int:
        return self._used


def pinned(nbytes: int) -> Any:
    """`cupy.cuda.alloc_pinned_memory`: has `ptr` and the buffer protocol."""
    kind = type("Pinned", (ctypes.c_char * nbytes,), {"ptr": property(ctypes.addressof)})
    return kind()
