"""`TritonClient` over HTTP.

The library underneath drives its sockets with gevent, whose event loop belongs to one thread: a client is
used and closed by the thread that made it.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import gevent  # type: ignore[import-untyped]
import numpy as np
import tritonclient.http as triton

from gpu_infer.errors import GpuInferError
from gpu_infer.triton.client import answers
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.endpoints import ControlName
from gpu_infer.triton.client.failures import (
    DENIED,
    Subject,
    access_denied,
    connection_lost,
    deadline,
    malformed,
    refusal,
)
from gpu_infer.triton.client.http_connection import HttpAnswer, HttpConnection
from gpu_infer.triton.client.protocol import (
    CALL_TIMEOUT_S,
    MESSAGE_LIMIT,
    InferReply,
    InferRequest,
    RegionInfo,
    RegionKind,
    RegionSlice,
    check_message_size,
    checked_region_name,
)
from gpu_infer.triton.lasting_threads import LastingThread
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

T = TypeVar("T")

_OK = http.client.OK
_Send = Callable[[HttpConnection], HttpAnswer]


class HttpClient:
    """One connection; see `protocol.TritonClient`."""

    name: ControlName = "http"

    def __init__(self, url: str, access: Access | None = None) -> None:
        self.url = url
        self._access = access or Access()
        self._thread = threading.get_ident()
        self._client: HttpConnection | None = None
        self._lock = threading.Lock()
        self._cut: Any = None  # wakes the event loop of the client's thread, during a call
        # An interrupt (Ctrl-C, or what a signal handler raises) reaches the caller; gevent need not print it too.
        hub = gevent.get_hub()
        hub.NOT_ERROR = tuple({*hub.NOT_ERROR, KeyboardInterrupt, GpuInferError})

    def _connected(self) -> HttpConnection:
        if threading.get_ident() != self._thread:
            raise RuntimeError("an HTTP client belongs to the thread that made it")
        if self._client is None:
            self._client = HttpConnection(self.url, self._access)
        return self._client

    def _call(self, what: str, subject: Subject, timeout: float, send: _Send, read: Callable[[HttpAnswer], T]) -> T:
        """What `read` makes of the answer; the deadline holds for both."""
        client = self._connected()
        limit = gevent.Timeout(timeout)
        limit.start()
        cut = gevent.get_hub().loop.async_(ref=False)
        cut.start(gevent.getcurrent().throw, ConnectionAbortedError("the request was cut off"))
        with self._lock:
            self._cut = cut
        try:
            answer = send(client)
        except gevent.Timeout as reached:
            self._drop()
            if reached is not limit:
                raise
            raise deadline(what, self.url, timeout) from None
        except answers.Malformed as error:
            self._drop()
            raise malformed(what, self.url, error) from None
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise access_denied(what, self.url, error) from None
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise connection_lost(what, self.url, error) from None
        except BaseException:  # an interrupt in the middle of a reply
            self._drop()
            raise
        finally:
            limit.close()
            with self._lock:
                self._cut = None
            cut.stop()
            cut.close()
        try:
            return read(answer)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self._drop()
            raise malformed(what, self.url, error) from None

    def _drop(self) -> None:
        """Leave a connection in an unknown state behind; the next call opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _is(self, what: str, subject: Subject, timeout: float, path: str) -> bool:
        """Whether the answer to a GET is 200."""

        def read(answer: HttpAnswer) -> bool:
            if str(answer.status) in DENIED:
                raise self._refusal(what, subject, answer)
            return answer.status == _OK

        return self._call(what, subject, timeout, lambda c: c.get(path, answers.ANSWER_LIMIT), read)

    def _ask(
        self,
        what: str,
        subject: Subject,
        timeout: float,
        path: str,
        read: Callable[[Any], T],
        document: dict[str, Any] | None = None,
    ) -> T:
        """What `read` makes of the JSON that a GET, or the POST of a document, brings."""

        def send(client: HttpConnection) -> HttpAnswer:
            if document is None:
                return client.get(path, answers.ANSWER_LIMIT)
            return client.post_document(path, document, answers.ANSWER_LIMIT)

        def read_answer(answer: HttpAnswer) -> T:
            if answer.status != _OK:
                raise self._refusal(what, subject, answer)
            return read(answers.decoded(answer.body))

        return self._call(what, subject, timeout, send, read_answer)

    def _order(
        self, what: str, timeout: float, path: str, document: dict[str, Any], subject: Subject = "server"
    ) -> None:
        """POST a document; the answer's status says everything."""

        def read(answer: HttpAnswer) -> None:
            if answer.status != _OK:
                raise self._refusal(what, subject, answer)

        self._call(what, subject, timeout, lambda c: c.post_document(path, document, answers.ANSWER_LIMIT), read)

    def _refusal(self, what: str, subject: Subject, answer: HttpAnswer) -> GpuInferError:
        return refusal(what, self.url, str(answer.status), answer.refusal_text(), subject)

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return self._is("liveness", "server", timeout, "v2/health/live")

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str:
        def read(document: Any) -> str:
            return answers.text(answers.mapping(document, "the metadata").get("version"), "the server's version")

        return self._ask("metadata", "server", timeout, "v2", read)

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool:
        return self._is(f"readiness of model {model}", "model", timeout, f"{_path(model, version)}/ready")

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata:
        return self._ask(
            f"metadata of model {model}",
            "model",
            timeout,
            _path(model, version),
            lambda document: answers.json_metadata(model, document),
        )

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig:
        return self._ask(
            f"configuration of model {model}", "model", timeout, f"{_path(model, version)}/config", answers.json_config
        )

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]:
        return self._ask("repository index", "server", timeout, "v2/repository/index", answers.json_index, {})

    def load_model(self, model: str, timeout: float) -> None:
        path = f"v2/repository/models/{quote(model, safe='')}/load"
        self._order(f"loading model {model}", timeout, path, {}, "model")

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        document = {"key": key, "offset": 0, "byte_size": nbytes}
        self._order(f"registering {key}", timeout, f"{_region_path('system', name)}/register", document)

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        handle = {"b64": base64.b64encode(ipc_handle).decode()}
        document = {"raw_handle": handle, "device_id": device, "byte_size": nbytes}
        self._order(f"registering CUDA block {name}", timeout, f"{_region_path('cuda', name)}/register", document)

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        checked_region_name(name)
        self._order(f"unregistering {name}", timeout, f"{_region_path(kind, name)}/unregister", {})

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]:
        regions = self._ask(
            "listing shared memory",
            "server",
            timeout,
            "v2/systemsharedmemory/status",
            lambda document: answers.json_regions(document, "system"),
        )
        regions += self._ask(
            "listing CUDA shared memory",
            "server",
            timeout,
            "v2/cudasharedmemory/status",
            lambda document: answers.json_regions(document, "cuda"),
        )
        return {region.name: region for region in regions}

    def infer(self, request: InferRequest, timeout: float) -> InferReply:
        check_message_size(request)
        source = triton.InferInput(request.input_name, list(request.shape), request.datatype)
        if isinstance(request.source, RegionSlice):
            source.set_shared_memory(request.source.name, request.source.nbytes, request.source.offset)
        else:
            source.set_data_from_numpy(np.ascontiguousarray(request.source), binary_data=True)
        sink = triton.InferRequestedOutput(request.output_name, binary_data=True)
        if request.sink is not None:
            sink.set_shared_memory(request.sink.name, request.sink.nbytes, request.sink.offset)
        inline = request.sink is None
        body, header_length = triton.InferenceServerClient.generate_request_body([source], outputs=[sink])
        path, limit = (
            f"{_path(request.model, request.version)}/infer",
            MESSAGE_LIMIT if inline else answers.ANSWER_LIMIT,
        )
        what = f"inference of model {request.model}"

        def read(answer: HttpAnswer) -> InferReply:
            if answer.status != _OK:
                raise self._refusal(what, "model", answer)
            return answers.json_reply(answer.body, answer.header_length, request.output_name, inline)

        return self._call(what, "model", timeout, lambda c: c.post(path, body, header_length, limit), read)

    def abort(self) -> None:
        with self._lock:
            if self._cut is not None:
                self._cut.send()

    def close(self) -> None:
        if self._client is not None and threading.get_ident() == self._thread:
            self._drop()


def end_thread() -> None:
    """Give back the event loop of a thread that used HTTP clients; the last thing such a thread does.

    A lasting thread has it for the next client: what gevent leaves of a loop is never freed.
    """
    if not isinstance(threading.current_thread(), LastingThread):
        gevent.get_hub().destroy(destroy_loop=True)


def _path(model: str, version: str) -> str:
    path = f"v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _region_path(kind: RegionKind, name: str) -> str:
    return f"v2/{kind}sharedmemory/region/{quote(name, safe='')}"
