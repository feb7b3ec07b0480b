"""The base class of both clients: the name of each call in messages, and the error for a wrong answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from gpu_infer.errors import ServerError
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.failures import Subject, malformed, refusal
from gpu_infer.triton.client.protocol import (
    CALL_TIMEOUT_S,
    InferReply,
    InferRequest,
    RegionInfo,
    RegionKind,
    TritonClient,
    check_message_size,
    checked_region_name,
)
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

A = TypeVar("A")
T = TypeVar("T")

READING_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading raises if a program that is no Triton answers."""


class Refused(Exception):
    """The server answered with an error: its status and its text."""

    def __init__(self, status: str, text: object) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Exchange(Generic[A, T]):
    """One call in terms of a protocol.

    send  sends the request and returns the answer
    read  checks the answer and returns the call's result; raises Refused, or one of READING_ERRORS
    """

    send: Callable[..., A]
    read: Callable[[A], T]


class BaseClient(TritonClient, Generic[A]):
    """A `TritonClient` whose subclass says how a protocol sends each call and reads its answer, of type A."""

    _access: Access

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return self._call("liveness", "server", timeout, self._server_live())

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str:
        return self._call("metadata", "server", timeout, self._server_version())

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool:
        return self._call(f"readiness of model {model}", "model", timeout, self._model_ready(model, version))

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata:
        return self._call(f"metadata of model {model}", "model", timeout, self._model_metadata(model, version))

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig:
        return self._call(f"configuration of model {model}", "model", timeout, self._model_config(model, version))

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]:
        return self._call("repository index", "server", timeout, self._model_index())

    def load_model(self, model: str, timeout: float) -> None:
        self._call(f"loading model {model}", "model", timeout, self._load_model(model))

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        self._call(f"registering {key}", "server", timeout, self._register_system(name, key, nbytes))

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        exchange = self._register_cuda(name, ipc_handle, device, nbytes)
        self._call(f"registering CUDA block {name}", "server", timeout, exchange)

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        self._call(f"unregistering {name}", "server", timeout, self._unregister(checked_region_name(name), kind))

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]:
        system = self._call("listing shared memory", "server", timeout, self._regions("system"))
        cuda = self._call("listing CUDA shared memory", "server", timeout, self._regions("cuda"))
        return {region.name: region for region in [*system, *cuda]}

    def infer(self, request: InferRequest, timeout: float) -> InferReply:
        check_message_size(request)
        return self._call(f"inference of model {request.model}", "model", timeout, self._infer(request))

    def begin_infer(self, request: InferRequest, timeout: float) -> Callable[[], InferReply]:
        return partial(self.infer, request, timeout)

    def _call(
        self,
        what: str,
        subject: Subject,
        timeout: float,
        exchange: Exchange[A, T],
        send: Callable[[str, Subject, float, Callable[..., A]], A] | None = None,
    ) -> T:
        """The result of an exchange; `what` and `subject` are for messages, see `failures.refusal`.

        send  in place of `_send`
        """
        try:
            answer = (send or self._send)(what, subject, timeout, exchange.send)
            try:
                return exchange.read(answer)
            except Refused as error:
                raise refusal(what, self.url, error.status, error.text, subject) from None
            except READING_ERRORS as error:
                self._drop()
                raise malformed(what, self.url, error) from None
        except ServerError as error:
            start, separator, text = error.message.partition(f"{what} at {self.url}: ")
            error.message = start + separator + self._access.hide_values(text)
            error.args = (error.message,)
            raise

    @abstractmethod
    def _send(self, what: str, subject: Subject, timeout: float, send: Callable[..., A]) -> A:
        """The answer; DeadlineError after `timeout` seconds, ServerError if no sound answer comes."""

    def _drop(self) -> None:
        """Close a connection in an unknown state, if the protocol can have one; the next call opens a new one."""
        return

    # -- one exchange per call ---------------------------------------------------------------------------
    @abstractmethod
    def _server_live(self) -> Exchange[A, bool]: ...

    @abstractmethod
    def _server_version(self) -> Exchange[A, str]: ...

    @abstractmethod
    def _model_ready(self, model: str, version: str) -> Exchange[A, bool]: ...

    @abstractmethod
    def _model_metadata(self, model: str, version: str) -> Exchange[A, ModelMetadata]: ...

    @abstractmethod
    def _model_config(self, model: str, version: str) -> Exchange[A, ModelConfig]: ...

    @abstractmethod
    def _model_index(self) -> Exchange[A, list[ModelEntry]]: ...

    @abstractmethod
    def _load_model(self, model: str) -> Exchange[A, None]: ...

    @abstractmethod
    def _register_system(self, name: str, key: str, nbytes: int) -> Exchange[A, None]: ...

    @abstractmethod
    def _register_cuda(self, name: str, ipc_handle: bytes, device: int, nbytes: int) -> Exchange[A, None]: ...

    @abstractmethod
    def _unregister(self, name: str, kind: RegionKind) -> Exchange[A, None]: ...

    @abstractmethod
    def _regions(self, kind: RegionKind) -> Exchange[A, list[RegionInfo]]: ...

    @abstractmethod
    def _infer(self, request: InferRequest) -> Exchange[A, InferReply]: ...
