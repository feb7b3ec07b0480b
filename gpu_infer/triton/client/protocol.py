"""What we ask of a Triton server, in one interface for both protocols.

No exception of the client libraries leaves these classes: calls raise ServerError, ModelError, DeadlineError
or one of the classes in `failures.py`. A client belongs to the thread that made it; every slot has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ServerError
from gpu_infer.triton.client.endpoints import ControlName
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

RegionKind = Literal["system", "cuda"]

CALL_TIMEOUT_S = 10.0  # for everything but inference: such calls take milliseconds, registering a big region a second
LONGEST_S = 1e8  # of an inference: gRPC takes a longer one, some 3 years, for one that is over already
MESSAGE_LIMIT = 2**31 - 1  # bytes of one protobuf message


@dataclass(frozen=True)
class RegionSlice:
    """`nbytes` bytes from `offset` on in the registered region `name`."""

    name: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class InferRequest:
    """One inference. `shape` is the whole input shape, the batch axis included where the model has one.

    source  the input: an array of `shape` and the model's dtype, or where it lies in a region
    sink    where the server writes the output; None: the reply carries it
    """

    model: str
    version: str
    input_name: str
    datatype: str  # Triton's word: FP32, FP16
    shape: tuple[int, ...]
    source: NDArray[Any] | RegionSlice
    output_name: str
    sink: RegionSlice | None = None


@dataclass(frozen=True)
class InferReply:
    """The output's shape and Triton datatype; `data` (read-only) unless it went to a region."""

    shape: tuple[int, ...]
    datatype: str
    data: NDArray[Any] | None


@dataclass(frozen=True)
class RegionInfo:
    """A region the server knows. `kind` is "system" or "cuda"; `key` names the segment, empty for CUDA."""

    name: str
    kind: RegionKind
    key: str
    nbytes: int


class TritonClient(Protocol):
    """One connection's calls; `timeout` in seconds, after which DeadlineError is raised."""

    name: ControlName
    url: str

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        """Whether the server answers, whatever its models do; raises ConnectionLost if there is none."""
        ...

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str: ...

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool: ...

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata: ...

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig: ...

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]: ...

    def load_model(self, model: str, timeout: float) -> None:
        """Let the server load `model`, every version that its policy names; returns when it is ready."""
        ...

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        """Let the server map the POSIX segment `key` ("/name"); RegionExists when the name is taken."""
        ...

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        """Let the server open a CUDA allocation; `ipc_handle` is the 64-byte cudaIpcMemHandle_t as it is."""
        ...

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        """Forget one region; an unknown name is no error. RegionBusy while a request uses it.

        Raises ValueError for an empty name, which would wipe the regions of every client.
        """
        ...

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]: ...

    def infer(self, request: InferRequest, timeout: float) -> InferReply: ...

    def abort(self) -> None:
        """End the call in progress with ConnectionLost; from any thread, without waiting."""
        ...

    def close(self) -> None:
        """Close the connection; more than once without harm. Only by the thread that made the client."""
        ...


def check_message_size(request: InferRequest) -> None:
    """Refuse an inline input that no message can hold, before it is copied into one."""
    if isinstance(request.source, RegionSlice):
        return
    nbytes = int(np.prod(request.shape, dtype=np.int64)) * request.source.dtype.itemsize
    if nbytes > MESSAGE_LIMIT - 65536:  # names, shapes and headers take their share
        raise ServerError(
            f"an inline request of {nbytes / 2**30:.2f} GiB for model {request.model} exceeds the 2 GiB of one message",
            remedy="use --data system_shm, a smaller batch_size or a smaller roi_size",
        )


def checked_region_name(name: str) -> str:
    """`name`, unless it is empty."""
    if not name:
        raise ValueError("a region is unregistered by name only: an empty name wipes other clients' regions")
    return name
