"""A volume on its way to the device, from the time at which its reader starts."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from gpu_infer.backends.types import Array, HostArray
from gpu_infer.volume.follower import Follower


class Upload(Follower):
    """Uploads one host array; a context, after which the device has no part of an array that `finish` did not return.

    Give it to the reader of the array as its follower, then the array to `finish`. This class uploads all of it there,
    which on the CPU is no copy. `GpuBackend` uploads what the reader has filled while it fills the rest.
    """

    def __init__(self, upload: Callable[[HostArray], Array]) -> None:
        self._upload_whole = upload

    def finish(self, host: HostArray) -> Array:
        """Return `host` on the device: the result of `Backend.upload`. Call it once, when the values are final.

        Raises:
            ResourceError: The device has too little memory.
            DeviceError: The device failed.
        """
        return self._upload_whole(host)

    def close(self) -> None:
        """Drop what is not finished. May be called more than once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
