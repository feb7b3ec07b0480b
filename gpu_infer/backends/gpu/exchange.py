"""Arrays of other libraries on a CUDA device, as CuPy arrays over the same memory, and back.

Nothing here copies voxels to the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpu_infer.backends.gpu.backend import GpuBackend, shared_backend
from gpu_infer.backends.gpu.device.cupy_import import check_device, cupy
from gpu_infer.backends.types import DeviceArray

_CUDA = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""

_backends: dict[int, GpuBackend] = {}


def is_cupy(array: Any) -> bool:
    return isinstance(array, cupy.ndarray)


def received(array: Any) -> DeviceArray:
    """A CuPy array over the memory of `array`.

    Raises ValueError if it is not on a CUDA device or CuPy lacks its dtype.
    """
    if is_cupy(array):
        return array
    try:
        if hasattr(array, "__dlpack__") and int(array.__dlpack_device__()[0]) in _CUDA:
            return cupy.from_dlpack(array)
        if hasattr(array, "__cuda_array_interface__"):
            return cupy.asarray(array)
    except (TypeError, BufferError, RuntimeError, ValueError) as error:
        raise ValueError(f"a {type(array).__name__} cannot be read as a CuPy array: {error}") from error
    raise ValueError(
        f"found a {type(array).__name__} in host memory, expected an array on a CUDA device: nothing is "
        "copied between host and device unasked"
    )


def returned(array: DeviceArray, like: Any) -> Any:
    """`array` as an array of the library of `like` by DLPack; a CuPy array if that library has no from_dlpack."""
    if is_cupy(like) or not hasattr(like, "__array_namespace__"):
        return array
    library = like.__array_namespace__()
    return library.from_dlpack(array) if hasattr(library, "from_dlpack") else array


class _ForeignStream:
    """A stream of another library with the CUDA stream protocol, which not every torch implements."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self._pointer)


@contextmanager
def current_stream(pointer: int, device: int) -> Iterator[None]:
    """Make another library's CUDA stream CuPy's current one: what is done here is ordered with that library's work."""
    with cupy.cuda.Device(device):
        before = cupy.cuda.get_current_stream()
        cupy.cuda.Stream.from_external(_ForeignStream(pointer)).use()
        try:
            yield
        finally:
            before.use()


def overlap(a: DeviceArray, b: DeviceArray) -> bool:
    """Whether two arrays may share memory."""
    (a_low, a_high), (b_low, b_high) = _extent(a), _extent(b)
    return a_low < b_high and b_low < a_high


def backend_of(array: DeviceArray) -> GpuBackend:
    """The backend on the device of `array`: one per device, that of runs on its device."""
    number = int(array.device.id)
    if number not in _backends:
        check_device()
        with cupy.cuda.Device(number):
            shared = shared_backend()
            _backends[number] = shared if shared.device == number else GpuBackend()
    return _backends[number]


def _extent(array: DeviceArray) -> tuple[int, int]:
    steps = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    low = int(array.data.ptr) + sum(min(step, 0) for step in steps)
    return low, low + sum(abs(step) for step in steps) + array.dtype.itemsize if array.size else low
