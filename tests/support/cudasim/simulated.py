"""Puts the stand-in where `import cupy` finds it, for the length of a with statement; nothing outside tests can."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from cudasim import libraries, memory, stand_in

_PACKAGE = "gpu_infer.backends.gpu"


def _forget_backend() -> dict[str, Any]:
    names = [name for name in sys.modules if name == "cupy" or name.startswith(_PACKAGE)]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def simulated_cupy(devices: int = 1, *, capacity: int = memory.CAPACITY) -> Iterator[Any]:
    """Import `gpu_infer.backends.gpu.backend` anew on a simulated CuPy: `devices` of them, `capacity` bytes each."""
    held = _forget_backend()
    memory.begin(capacity)
    package = import_module("gpu_infer.backends")
    sys.modules["cupy"] = stand_in.module(devices)
    stand_ins = libraries.modules()
    replaced = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield import_module(f"{_PACKAGE}.backend")
    finally:
        _forget_backend()
        for name, module in replaced.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
        for name in [n for n in vars(package) if n.startswith("gpu")]:
            delattr(package, name)
        sys.modules.update(held)
        memory.free_all()


def open_segments_as_cuda(patch: pytest.MonkeyPatch) -> None:
    """Have CUDA regions registered as the POSIX segments that they are in the simulator."""
    from gpu_infer.triton.client.grpc_client import GrpcClient
    from gpu_infer.triton.client.http_client import HttpClient

    for control in (GrpcClient, HttpClient):
        unregister = control.unregister_region

        def register(self: Any, name: str, handle: bytes, device: int, nbytes: int, timeout: float = 10.0) -> None:
            assert device == 0
            self.register_system_region(name, memory.segment_of(handle), nbytes, timeout)

        def unregister_any(
            self: Any, name: str, kind: str = "system", timeout: float = 10.0, _plain: Any = unregister
        ) -> None:
            _plain(self, name, "system", timeout)

        patch.setattr(control, "register_cuda_region", register)
        patch.setattr(control, "unregister_region", unregister_any)
