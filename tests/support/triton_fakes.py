"""A server in this process: it maps regions like Triton and fails on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.errors import ModelError
from gpu_infer.triton.client.failures import ConnectionLost, RegionExists, RegionUnknown
from gpu_infer.triton.client.protocol import InferReply, InferRequest, RegionInfo, RegionSlice
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelInfo, ModelMetadata, TensorInfo, TensorMetadata
from gpu_infer.triton.shm.host_arenas import HostArena

F32 = np.dtype(np.float32)


def model(**changes: Any) -> ModelInfo:
    """The ModelInfo of threshold_half, with changes: dims_in, dims_out, or fields of ModelInfo."""
    dims_in = changes.pop("dims_in", (1, -1, -1, -1))
    dims_out = changes.pop("dims_out", (2, -1, -1, -1))
    facts: dict[str, Any] = {"name": "toy", "version": "1", "platform": "python", "max_batch": 4}
    facts["input"] = TensorInfo("IN", F32, "FP32", dims_in)
    facts["output"] = TensorInfo("OUT", F32, "FP32", dims_out)
    return ModelInfo(**facts | changes)


@dataclass
class FakeServer:
    """Answers [N, 2, …] = (0.5, x). `script` lists what happens before each inference: an exception or a callable."""

    control: str = "grpc"
    url: str = "fake:1"
    version: str = "2.51.0"
    regions: dict[str, RegionInfo] = field(default_factory=dict)
    refuse: dict[str, BaseException] = field(default_factory=dict)  # by kind: "system", "cuda"
    unregister_errors: list[Exception] = field(default_factory=list)
    script: list[Exception | Callable[[], None] | None] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)  # bytes of each region
    devices: dict[bytes, Any] = field(default_factory=dict)  # ipc handle → arena
    requests: list[InferRequest] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    ready: bool = True
    stops_with_run: bool = False
    reshape: Callable[[Any], Any] = lambda array: array
    channels_last: bool = False
    lock: Any = field(default_factory=threading.Lock)

    def client(self) -> FakeClient:
        return FakeClient(self)

    def for_inline(self) -> FakeServer:
        return self

    def late_scores(self, value: float) -> Callable[[], None]:
        """Lose the connection of the next inference; the returned function writes its scores, all `value`."""

        def lose() -> None:
            raise ConnectionLost("UNAVAILABLE: the socket was closed")

        self.script.append(lose)

        def write() -> None:
            sink = self.requests[number].sink
            assert sink is not None
            if sink.name in self.memory:
                self.memory[sink.name][sink.offset : sink.offset + sink.nbytes].view(np.float32)[:] = value

        number = len(self.requests) + len(self.script) - 1
        return write

    def restart(self) -> None:
        """Forget every region, as a restarted server does."""
        self.regions.clear()
        self.memory.clear()


class FakeClient:
    name: Any = "grpc"

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.url = server.url
        self.closed = False

    def server_live(self, timeout: float = 1.0) -> bool:
        return self.server.ready

    def server_version(self, timeout: float = 1.0) -> str:
        return self.server.version

    def model_ready(self, model: str, version: str = "", timeout: float = 1.0) -> bool:
        return True

    def model_metadata(self, model: str, version: str = "", timeout: float = 1.0) -> ModelMetadata:
        raise NotImplementedError

    def model_config(self, model: str, version: str = "", timeout: float = 1.0) -> ModelConfig:
        raise NotImplementedError

    def model_index(self, timeout: float = 1.0) -> list[ModelEntry]:
        return []

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = 1.0) -> None:
        self._register(RegionInfo(name, "system", key, nbytes))
        self.server.memory[name] = np.memmap(Path("/dev/shm") / key[1:], np.uint8, "r+", shape=(nbytes,))

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = 1.0
    ) -> None:
        self._register(RegionInfo(name, "cuda", "", nbytes))
        self.server.memory[name] = self.server.devices[ipc_handle].view(0, (nbytes,), np.uint8)

    def _register(self, region: RegionInfo) -> None:
        if region.kind in self.server.refuse:
            raise self.server.refuse[region.kind]
        if region.name in self.server.regions:
            raise RegionExists(f"{region.name} already in manager")
        self.server.regions[region.name] = region
        self.server.log.append(f"register {region.kind}")

    def unregister_region(self, name: str, kind: Any = "system", timeout: float = 1.0) -> None:
        assert name
        if self.server.unregister_errors:
            raise self.server.unregister_errors.pop(0)
        if name in self.server.regions:
            assert self.server.regions[name].kind == kind
        self.server.regions.pop(name, None)
        self.server.memory.pop(name, None)
        self.server.log.append(f"unregister {kind}")

    def registered_regions(self, timeout: float = 1.0) -> dict[str, RegionInfo]:
        return dict(self.server.regions)

    def infer(self, request: InferRequest, timeout: float) -> InferReply:
        with self.server.lock:
            step = self.server.script.pop(0) if self.server.script else None
            self.server.requests.append(request)
        if isinstance(step, Exception):
            raise step
        if step is not None:
            step()
        x = self._read(request)
        axis = x.ndim - 1 if self.server.channels_last else x.ndim - 4
        first = x.take([0], axis)
        out = self.server.reshape(np.concatenate([np.full_like(first, 0.5), first], axis))
        if request.sink is None:
            return InferReply(out.shape, "FP32", out)
        if out.nbytes > request.sink.nbytes:
            raise ModelError("shared memory size specified with the request for output is too small")
        self._memory(request.sink)[: out.nbytes] = np.ascontiguousarray(out).view(np.uint8).reshape(-1)
        return InferReply(out.shape, "FP32", None)

    def begin_infer(self, request: InferRequest, timeout: float) -> Callable[[], InferReply]:
        return partial(self.infer, request, timeout)

    def _read(self, request: InferRequest) -> Any:
        if isinstance(request.source, RegionSlice):
            return self._memory(request.source).view(np.float32).reshape(request.shape).copy()
        assert request.source.shape == request.shape
        return request.source.copy()

    def _memory(self, part: RegionSlice) -> Any:
        if part.name not in self.server.regions:
            raise RegionUnknown(f"Unable to find shared memory region: '{part.name}'")
        return self.server.memory[part.name][part.offset : part.offset + part.nbytes]

    def abort(self) -> None:
        self.server.log.append("aborted")

    def close(self) -> None:
        self.closed = True


class HostBackend:
    """The part of a backend that a transport uses, without device memory."""

    name = "cpu"
    has_device_memory = False

    def identity(self) -> None:
        return None


class DeviceBlock(HostArena):
    """Host memory in the role of a CUDA allocation."""

    device = 0

    def __init__(self, nbytes: int, handle: bytes) -> None:
        super().__init__(nbytes)
        self.ipc_handle = handle
        self.closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


class DeviceBackend:
    """A backend with device memory, whose arenas the fake server can open."""

    name = "gpu"
    has_device_memory = True

    def identity(self) -> None:
        return None

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.blocks: list[DeviceBlock] = []

    def device_arena(self, nbytes: int) -> DeviceBlock:
        block = DeviceBlock(nbytes, bytes([len(self.blocks)]) * 64)
        self.blocks.append(block)
        self.server.devices[block.ipc_handle] = block
        return block


def tensors(*shapes: Sequence[int], datatype: str = "FP32") -> tuple[TensorMetadata, ...]:
    return tuple(TensorMetadata(f"T{k}", datatype, tuple(shape)) for k, shape in enumerate(shapes))
