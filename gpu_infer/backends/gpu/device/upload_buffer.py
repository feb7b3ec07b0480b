"""Small copies to the device, one after the other in pinned memory, so that none waits for the previous one.

CUDA may read pageable memory after the call that copies it, and tables do not outlive their operation.
"""

from __future__ import annotations

from typing import Any

from gpu_infer.backends.gpu.device.staging import Bytes, Pinned

LARGEST = 1 << 20
"""Bytes of one of two halves, and of the largest copy: the tables of several runs."""

_ALIGNMENT = 16


class UploadBuffer:
    """One per device; one thread, one stream. Raises CUDA's error if no memory can be pinned.

    A half is written from its beginning to its end, then the other one. It is written again when the event after its
    last copy is complete, which it has long been after a whole half.
    """

    def __init__(self) -> None:
        self._half: Pinned | None = None
        self._other: Pinned | None = None
        self._used = 0

    def upload(self, host: Bytes, device: int, stream: Any) -> None:
        """host (flat, contiguous, at most LARGEST bytes) → device address. On return `host` may change."""
        if self._half is None or self._used + host.size > LARGEST:
            self._turn(stream)
        assert self._half is not None
        self._half.bytes[self._used : self._used + host.size] = host
        self._half.copy_to(device, self._used, host.size, stream)
        self._used += -(-host.size // _ALIGNMENT) * _ALIGNMENT

    def _turn(self, stream: Any) -> None:
        if self._half is not None:
            self._half.event.record(stream)
        other = self._other or Pinned(LARGEST)
        other.event.synchronize()
        self._half, self._other = other, self._half
        self._used = 0
