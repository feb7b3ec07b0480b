"""`TritonClient` over HTTP.

The library underneath drives its sockets with gevent, whose event loop belongs to one thread: only the thread that made
a client uses and closes it.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import quote

import gevent
import tritonclient.http as triton
from geventhttpclient._parser import HTTPParseError

from gpu_infer.errors import GpuInferError
from gpu_infer.triton.client import answers
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.base import BaseClient, Exchange, Refused, fill_tensors
from gpu_infer.triton.client.endpoints import ControlName
from gpu_infer.triton.client.failures import (
    DENIED,
    NotTriton,
    Subject,
    access_denied,
    connection_lost,
    deadline,
    is_gateway,
    malformed,
    other_port,
)
from gpu_infer.triton.client.http_connection import HttpAnswer, HttpConnection
from gpu_infer.triton.client.protocol import (
    MESSAGE_LIMIT,
    InferReply,
    InferRequest,
    RegionInfo,
    RegionKind,
)
from gpu_infer.triton.lasting_threads import LastingThread
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

T = TypeVar("T")

_OK = http.client.OK
_FOREIGN = (http.client.NOT_FOUND, http.client.METHOD_NOT_ALLOWED, http.client.NOT_IMPLEMENTED)
"""Status that no Triton with protocol V2 answers to the question whether it is live."""

_JSON_BYTES = 1 << 20  # of an answer's JSON, or of an error's text in place of an output
_Send = Callable[[HttpConnection], HttpAnswer]


class _Waker(Protocol):
    """Wakes the event loop of another thread."""

    def send(self) -> object: ...


class HttpClient(BaseClient[HttpAnswer]):
    """One connection; see `protocol.TritonClient`."""

    name: ControlName = "http"

    def __init__(self, url: str, access: Access | None = None) -> None:
        self.url = url
        self._access = access or Access()
        self._thread = threading.get_ident()
        self._client: HttpConnection | None = None
        self._lock = threading.Lock()
        self._cut: _Waker | None = None  # during a call: ends it
        # An interrupt (Ctrl-C, or what a signal handler raises) reaches the caller; gevent must not print it as well.
        hub = gevent.get_hub()
        hub.NOT_ERROR = tuple({*hub.NOT_ERROR, KeyboardInterrupt, GpuInferError})

    def abort(self) -> None:
        with self._lock:
            if self._cut is not None:
                self._cut.send()

    def close(self) -> None:
        if self._client is not None and threading.get_ident() == self._thread:
            self._drop()

    def _connected(self) -> HttpConnection:
        if threading.get_ident() != self._thread:
            raise RuntimeError("an HTTP client belongs to the thread that made it")
        if self._client is None:
            self._client = HttpConnection(self.url, self._access)
        return self._client

    def _send(self, what: str, subject: Subject, timeout: float, send: _Send) -> HttpAnswer:
        client = self._connected()
        limit = gevent.Timeout(timeout)
        limit.start()
        cut = gevent.get_hub().loop.async_(ref=False)
        cut.start(gevent.getcurrent().throw, ConnectionAbortedError("the request was cut off"))
        with self._lock:
            self._cut = cut
        try:
            return send(client)
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

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- one exchange per call ---------------------------------------------------------------------------
    def _server_live(self) -> Exchange[HttpAnswer, bool]:
        return Exchange(self._send_live, _is_ok)

    def _send_live(self, connection: HttpConnection) -> HttpAnswer:
        """The answer of a Triton about its liveness; NotTriton if another program answers."""
        try:
            answer = connection.get("v2/health/live", answers.ANSWER_LIMIT)
            if answer.status in _FOREIGN:
                raise NotTriton(self.url, f"HTTP {answer.status}")
            # Triton says 400 if it is not live, and the server of protocol V1 says so about every path of V2.
            if answer.status == http.client.BAD_REQUEST:
                older = connection.get("api/health/live", answers.ANSWER_LIMIT)
                if older.status == _OK:
                    raise NotTriton(self.url, "HTTP 400", "a TensorRT Inference Server (V1)")
        except HTTPParseError:
            raise other_port(self.url, "no HTTP", "gRPC") from None
        return answer

    def _server_version(self) -> Exchange[HttpAnswer, str]:
        return Exchange(_get("v2"), _document(_read_version))

    def _model_ready(self, model: str, version: str) -> Exchange[HttpAnswer, bool]:
        return Exchange(_get(f"{_path(model, version)}/ready"), _is_ok)

    def _model_metadata(self, model: str, version: str) -> Exchange[HttpAnswer, ModelMetadata]:
        return Exchange(_get(_path(model, version)), _document(partial(answers.json_metadata, model)))

    def _model_config(self, model: str, version: str) -> Exchange[HttpAnswer, ModelConfig]:
        return Exchange(_get(f"{_path(model, version)}/config"), _document(answers.json_config))

    def _model_index(self) -> Exchange[HttpAnswer, list[ModelEntry]]:
        return Exchange(_post("v2/repository/index", {}), _document(answers.json_index))

    def _load_model(self, model: str) -> Exchange[HttpAnswer, None]:
        return Exchange(_post(f"v2/repository/models/{quote(model, safe='')}/load", {}), _check_ok)

    def _register_system(self, name: str, key: str, nbytes: int) -> Exchange[HttpAnswer, None]:
        document = {"key": key, "offset": 0, "byte_size": nbytes}
        return Exchange(_post(f"{_region_path('system', name)}/register", document), _check_ok)

    def _register_cuda(self, name: str, ipc_handle: bytes, device: int, nbytes: int) -> Exchange[HttpAnswer, None]:
        handle = {"b64": base64.b64encode(ipc_handle).decode()}
        document = {"raw_handle": handle, "device_id": device, "byte_size": nbytes}
        return Exchange(_post(f"{_region_path('cuda', name)}/register", document), _check_ok)

    def _unregister(self, name: str, kind: RegionKind) -> Exchange[HttpAnswer, None]:
        return Exchange(_post(f"{_region_path(kind, name)}/unregister", {}), _check_ok)

    def _regions(self, kind: RegionKind) -> Exchange[HttpAnswer, list[RegionInfo]]:
        read = _document(partial(answers.json_regions, kind=kind))
        return Exchange(_get(f"v2/{kind}sharedmemory/status"), read)

    def _infer(self, request: InferRequest) -> Exchange[HttpAnswer, InferReply]:
        source = triton.InferInput(request.input_name, list(request.shape), request.datatype)
        sink = triton.InferRequestedOutput(request.output_name)
        fill_tensors(request, source, sink)
        inline = request.sink is None
        body, header_length = triton.InferenceServerClient.generate_request_body([source], outputs=[sink])
        path = f"{_path(request.model, request.version)}/infer"
        limit = _answer_limit(request)

        def read(answer: HttpAnswer) -> InferReply:
            _check_ok(answer)
            return answers.json_reply(answer.body, answer.header_length, request.output_name, inline)

        return Exchange(lambda connection: connection.post(path, body, header_length, limit), read)


def end_thread() -> None:
    """Free the event loop of a thread that used HTTP clients; the last call of such a thread.

    A lasting thread needs the loop for its next client: gevent never frees all of a loop.
    """
    if not isinstance(threading.current_thread(), LastingThread):
        gevent.get_hub().destroy(destroy_loop=True)


def _answer_limit(request: InferRequest) -> int:
    """Largest size of the answer's body, in bytes."""
    if request.sink is not None:
        return answers.ANSWER_LIMIT
    if request.output_bytes is None:
        return MESSAGE_LIMIT
    return min(MESSAGE_LIMIT, request.output_bytes + _JSON_BYTES)


def _path(model: str, version: str) -> str:
    path = f"v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _region_path(kind: RegionKind, name: str) -> str:
    return f"v2/{kind}sharedmemory/region/{quote(name, safe='')}"


def _get(path: str) -> _Send:
    return lambda connection: connection.get(path, answers.ANSWER_LIMIT)


def _post(path: str, document: dict[str, object]) -> _Send:
    return lambda connection: connection.post_document(path, document, answers.ANSWER_LIMIT)


def _check_ok(answer: HttpAnswer) -> None:
    """Raise Refused unless the status is 200."""
    if answer.status != _OK:
        raise Refused(str(answer.status), answer.refusal_text())


def _is_ok(answer: HttpAnswer) -> bool:
    """Whether the status is 200; Refused if the server denies access, or a proxy answers for it."""
    if str(answer.status) in DENIED or is_gateway(str(answer.status), answer.refusal_text()):
        _check_ok(answer)
    return answer.status == _OK


def _document(read: Callable[[object], T]) -> Callable[[HttpAnswer], T]:
    """What `read` makes of the JSON in an answer."""

    def read_answer(answer: HttpAnswer) -> T:
        _check_ok(answer)
        return read(answers.decode(answer.body))

    return read_answer


def _read_version(document: object) -> str:
    return answers.text(answers.mapping(document, "the metadata").get("version"), "the server's version")
