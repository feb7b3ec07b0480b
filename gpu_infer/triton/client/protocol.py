"""The calls to a Triton server that are used here, in one interface for both protocols.

No exception of the client libraries leaves a client: calls raise ServerError, ModelError, DeadlineError or one of the
classes in `failures.py`. A client belongs to the thread that made it; every slot has its own client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ServerError
from gpu_infer.triton.client.endpoints import ControlName
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

RegionKind = Literal["system", "cuda"]

CALL_TIMEOUT_S = 10.0  # of every call but inference: most take milliseconds, registering a large region takes a second
LONGEST_S = 1e8  # of an inference, about 3 years: gRPC treats a longer deadline as one that has passed
MESSAGE_LIMIT = 2**31 - 1  # bytes of one protobuf message


@dataclass(frozen=True)
class RegionSlice:
    """`nbytes` bytes of the registered region `name`, from byte `offset` on."""

    name: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class InferRequest:
    """One inference. `shape` is the whole input shape, with the batch axis if the model has one.

    source  the input: an array of `shape` and the model's dtype, or its place in a region
    sink    the place in a region that the server writes the output to; None: the reply carries the output
    output_bytes  size of an output that the reply carries; None if it is not known before
    """

    model: str
    version: str
    input_name: str
    datatype: str  # Triton's name: FP32, FP16
    shape: tuple[int, ...]
    source: NDArray[np.generic] | RegionSlice
    output_name: str
    sink: RegionSlice | None = None
    output_bytes: int | None = None

    @property
    def names_memory(self) -> bool:
        """Whether input and output are places in regions, so that neither the request nor the reply has voxels."""
        return isinstance(self.source, RegionSlice) and self.sink is not None


@dataclass(frozen=True)
class InferReply:
    """The output's shape and Triton datatype; `data` is read-only, and None if the server wrote it to a region."""

    shape: tuple[int, ...]
    datatype: str
    data: NDArray[np.generic] | None


@dataclass(frozen=True)
class RegionInfo:
    """A region that the server knows; `key` names its segment in /dev/shm and is empty for CUDA memory."""

    name: str
    kind: RegionKind
    key: str
    nbytes: int


class TritonClient(Protocol):
    """The calls over one connection. Each raises DeadlineError after `timeout` seconds."""

    name: ControlName
    url: str

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        """Whether the server answers, whatever state its models are in; raises ConnectionLost if there is no server."""
        ...

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str: ...

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool: ...

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata: ...

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig: ...

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]: ...

    def load_model(self, model: str, timeout: float) -> None:
        """Make the server load every version of `model` that its policy names; return when the model is ready."""
        ...

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        """Make the server map the POSIX segment `key` ("/name"); RegionExists if it knows a region of that name."""
        ...

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        """Make the server open a CUDA allocation; `ipc_handle` holds the 64 bytes of its cudaIpcMemHandle_t."""
        ...

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        """Make the server forget one region; an unknown name is no error. RegionBusy while a request uses the region.

        Raises ValueError for an empty name, which would remove the regions of every client.
        """
        ...

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]: ...

    def infer(self, request: InferRequest, timeout: float) -> InferReply: ...

    def begin_infer(self, request: InferRequest, timeout: float) -> Callable[[], InferReply]:
        """Send a request over HTTP, and return the function that reads its reply and raises what `infer` raises.

        Until it has returned, the client takes no other call but `abort` and `close`. Over gRPC, the function does all.
        """
        ...

    def abort(self) -> None:
        """End the call in progress with ConnectionLost. Callable from any thread; does not wait."""
        ...

    def close(self) -> None:
        """Close the connection, if it is open. Only the thread that made the client may call this."""
        ...


def check_message_size(request: InferRequest) -> None:
    """Raise ServerError for an inline input that is larger than any message, before it is copied into one."""
    if isinstance(request.source, RegionSlice):
        return
    nbytes = int(np.prod(request.shape, dtype=np.int64)) * request.source.dtype.itemsize
    if nbytes > MESSAGE_LIMIT - 65536:  # room for names, shapes and headers
        raise ServerError(
            f"an inline request of {nbytes / 2**30:.2f} GiB for model {request.model} exceeds the 2 GiB of one message",
            remedy="use --data system_shm, a smaller batch_size or a smaller roi_size",
        )


def checked_region_name(name: str) -> str:
    """`name`; ValueError if it is empty."""
    if not name:
        raise ValueError("a region is unregistered by name only: an empty name wipes other clients' regions")
    return name
