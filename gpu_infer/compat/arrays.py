"""Arrays of callers on a CUDA device: recognizes them, and converts them to CuPy arrays and back without a copy.

The backend imports CuPy when the first such array arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ConfigError

HostArray: TypeAlias = NDArray[Any]
"""A NumPy array of any dtype."""

CallerArray: TypeAlias = Any
"""An array of the caller's library: NumPy, torch, CuPy, or anything with `__array__` or DLPack."""

DeviceArray: TypeAlias = Any
"""`cupy.ndarray`. CuPy has no type hints and need not be installed."""

Tensor: TypeAlias = Any
"""`torch.Tensor`. torch need not be installed."""

_CUDA = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""


def on_device(array: CallerArray) -> bool:
    """Whether `array` is in the memory of a CUDA device."""
    if isinstance(array, np.ndarray):
        return False
    # torch's own attribute first: __dlpack_device__ of a tensor with gradients raises
    if isinstance(is_cuda := getattr(array, "is_cuda", None), bool):
        return is_cuda
    if hasattr(array, "__cuda_array_interface__"):
        return True
    return hasattr(array, "__dlpack_device__") and int(array.__dlpack_device__()[0]) in _CUDA


def gpu_exchange() -> ModuleType:
    """`backends.gpu.exchange`.

    Raises:
        ConfigError: CuPy cannot be imported.
    """
    try:
        from gpu_infer.backends.gpu import exchange
    except ImportError as error:
        raise ConfigError(
            f"an array on a CUDA device needs CuPy, which cannot be imported: {error}",
            remedy='pip install "gpu-infer[cuda13]" (or [cuda12] for a driver of CUDA 12), or pass host memory',
        ) from error
    return exchange


@contextmanager
def torch_stream(torch: ModuleType, device: object) -> Iterator[None]:
    """Make torch's current stream on `device` CuPy's current one, so that both libraries' work is in order."""
    stream = torch.cuda.current_stream(device)
    with gpu_exchange().current_stream(int(stream.cuda_stream), int(stream.device.index)):
        yield


def refuse_gradients(torch: ModuleType, tensor: Tensor) -> None:
    """ValueError if the caller expects gradients."""
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError("inputs require grad, but gradients are not followed: use torch.no_grad() or inputs.detach()")


def cupy_of_tensor(torch: ModuleType, tensor: Tensor) -> DeviceArray:
    """A torch tensor on a device as a CuPy array; bfloat16 as float32.

    DLPack has neither gradients nor, between torch and CuPy, bfloat16 and bool.
    """
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        return gpu_exchange().received(plain.float())
    if plain.dtype == torch.bool:
        return gpu_exchange().received(plain.view(torch.uint8)).view(bool)
    return gpu_exchange().received(plain)


def tensor_of_cupy(torch: ModuleType, array: DeviceArray) -> Tensor:
    """A CuPy array as a torch tensor over the same memory."""
    if array.dtype == np.bool_:
        return torch.from_dlpack(array.view(np.uint8)).view(torch.bool)
    return torch.from_dlpack(array)
