"""Runs when an interpreter of the environment starts, as its sitecustomize: puts the fake driver in place.

A library with the name libcuda.so.1 is loaded before any other code requests that name. No search path changes, so that
other programs, such as a local Triton, do not load it. Triton's process cannot open the fake's IPC handles;
their memory is a POSIX segment, which our client therefore registers as one.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(sys.prefix) / "fakecuda"
DRIVER = FOLDER / "libcuda.so.1"
CLIENTS = {"gpu_infer.triton.client.grpc_client": "GrpcClient", "gpu_infer.triton.client.http_client": "HttpClient"}


class ClientFinder(importlib.abc.MetaPathFinder):
    """Patches our Triton clients as soon as they are imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in CLIENTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                register_segments(getattr(module, CLIENTS[name]))

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def register_segments(client: Any) -> None:
    """Have CUDA regions of the class `client` registered as the POSIX segments that they are."""
    unregister = client.unregister_region

    def register_cuda_region(
        self: Any, name: str, handle: bytes, device: int, nbytes: int, timeout: float = 10
    ) -> None:
        self.register_system_region(name, "/" + handle.rstrip(b"\0").decode(), nbytes, timeout)

    def unregister_region(self: Any, name: str, kind: str = "system", timeout: float = 10) -> None:
        unregister(self, name, "system", timeout)

    client.register_cuda_region, client.unregister_region = register_cuda_region, unregister_region


if DRIVER.exists():
    os.environ.setdefault("FAKECUDA_KERNELS", str(FOLDER / "kernels"))
    ctypes.CDLL(str(DRIVER), mode=ctypes.RTLD_GLOBAL)
    sys.meta_path.insert(0, ClientFinder())
