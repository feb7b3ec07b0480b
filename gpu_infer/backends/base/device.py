"""What `Backend.device_arena` and `Backend.identity` return on a device, for code that talks to another process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike


class DeviceArena(Protocol):
    """A dedicated CUDA allocation (never from a pool) that another process may open.

    nbytes            at least the number of bytes that was requested
    ipc_handle        cudaIpcMemHandle_t, 64 bytes
    device            CUDA's ordinal of the card
    in_use_by_server  set while a server may write to the memory, which is then neither freed nor reused
    """

    nbytes: int
    ipc_handle: bytes
    device: int
    in_use_by_server: bool

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> Any:
        """C-ordered device array over the memory from `offset` bytes on; ValueError if it does not fit."""
        ...

    def close(self) -> None:
        """Release the memory, if it is not released yet; its views must not be used afterwards."""
        ...


class DeviceIdentity(Protocol):
    """Which card it is; str() describes it in messages."""

    def summary(self) -> dict[str, Any]:
        """The card's facts by name, for the report."""
        ...
