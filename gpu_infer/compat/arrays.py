"""Which arrays lie on a CUDA device, and how they become CuPy's without a copy.

CuPy is imported by the backend, when the first such array is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpu_infer.errors import ConfigError

_CUDA = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""


def on_device(array: Any) -> bool:
    """Whether `array` lies in the memory of a CUDA device."""
    if isinstance(array, np.ndarray):
        return False
    if isinstance(is_cuda := getattr(array, "is_cuda", None), bool):  # torch; asking a tensor with gradients more fails
        return is_cuda
    if hasattr(array, "__cuda_array_interface__"):
        return True
    return hasattr(array, "__dlpack_device__") and int(array.__dlpack_device__()[0]) in _CUDA


def gpu() -> Any:
    """`backends.gpu.exchange`. ConfigError where CuPy is missing."""
    try:
        from gpu_infer.backends.gpu import exchange as gpu_exchange
    except ImportError as error:
        raise ConfigError(
            f"an array on a CUDA device needs CuPy, which cannot be imported: {error}",
            remedy='pip install "gpu-infer[cuda13]" (or [cuda12], as the driver has it), or pass host memory',
        ) from error
    return gpu_exchange


@contextmanager
def torch_stream(torch: Any, device: Any) -> Iterator[None]:
    """Order what is done here with torch's current stream on `device`, which need not be CuPy's current one."""
    stream = torch.cuda.current_stream(device)
    with gpu().current_stream(int(stream.cuda_stream), int(stream.device.index)):
        yield


def without_gradients(torch: Any, inputs: Any) -> None:
    """ValueError where gradients are expected."""
    if inputs.requires_grad and torch.is_grad_enabled():
        raise ValueError("inputs require grad, but gradients are not followed: use torch.no_grad() or inputs.detach()")


def tensor_values(torch: Any, tensor: Any) -> Any:
    """A torch tensor on a device for `gpu_exchange.received`: DLPack knows neither gradients nor every dtype."""
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        return gpu().received(plain.float())
    if plain.dtype == torch.bool:
        return gpu().received(plain.view(torch.uint8)).view(bool)
    return gpu().received(plain)


def tensor_of(torch: Any, array: Any) -> Any:
    """A CuPy array as a torch tensor."""
    if array.dtype == np.bool_:
        return torch.from_dlpack(array.view(np.uint8)).view(torch.bool)
    return torch.from_dlpack(array)
