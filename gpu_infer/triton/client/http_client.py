"""`TritonClient` over HTTP."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from gpu_infer.errors import Interrupted
from gpu_infer.triton.client import answers
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.base import BaseClient, Exchange, Refused
from gpu_infer.triton.client.descriptors import no_descriptor
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
from gpu_infer.triton.client.http_connection import HttpAnswer, HttpConnection, HttpRequest
from gpu_infer.triton.client.http_inference import inference_body
from gpu_infer.triton.client.http_parser import HTTPConnectionClosed, HTTPParseError
from gpu_infer.triton.client.http_socket import DeadlineReached
from gpu_infer.triton.client.protocol import (
    MESSAGE_LIMIT,
    InferReply,
    InferRequest,
    RegionInfo,
    RegionKind,
    check_message_size,
)
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

T = TypeVar("T")

_OK = http.client.OK
_FOREIGN = (http.client.NOT_FOUND, http.client.METHOD_NOT_ALLOWED, http.client.NOT_IMPLEMENTED)
"""Status that no Triton with protocol V2 answers to the question whether it is live."""

_JSON_BYTES = 1 << 20  # of an answer's JSON, or of an error's text in place of an output
_Send = Callable[[HttpConnection], HttpAnswer]


class _Prepared(NamedTuple):
    """The message of an inference, and how its answer is read; `limit` bytes of a body at most."""

    message: HttpRequest
    limit: int
    read: Callable[[HttpAnswer], InferReply]


class HttpClient(BaseClient[HttpAnswer]):
    """One connection; see `protocol.TritonClient`."""

    name: ControlName = "http"

    def __init__(self, url: str, access: Access | None = None) -> None:
        self.url = url
        self._access = access or Access()
        self._connection = HttpConnection(url, self._access)
        self._repeated: InferRequest | None = None
        self._prepared: _Prepared

    def abort(self) -> None:
        self._connection.wire.abort()

    def close(self) -> None:
        self._drop()

    def _send(self, what: str, subject: Subject, timeout: float, send: _Send) -> HttpAnswer:
        self._connection.wire.begin(timeout)
        return self._go_on(what, subject, timeout, send)

    def _go_on(self, what: str, subject: Subject, timeout: float, send: _Send) -> HttpAnswer:
        """`_send` within a call that has begun."""
        try:
            return send(self._connection)
        except BaseException as error:  # also an interrupt in the middle of an answer
            self._drop()
            if isinstance(error, DeadlineReached):
                raise deadline(what, self.url, timeout) from None
            if isinstance(error, answers.Malformed):
                raise malformed(what, self.url, error) from None
            if isinstance(error, ssl.SSLCertVerificationError):
                raise access_denied(what, self.url, error) from None
            if isinstance(error, OSError) and (shortage := no_descriptor(error)) is not None:
                raise shortage from None
            if isinstance(error, OSError | http.client.HTTPException):
                raise connection_lost(what, self.url, error) from None
            raise
        finally:
            self._connection.wire.end()

    def _drop(self) -> None:
        self._connection.wire.close()

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
        except HTTPConnectionClosed:
            raise  # as by the proxy of a server that does not listen yet
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
        prepared = self._prepare(request)
        return Exchange(lambda connection: connection.post(prepared.message, prepared.limit), prepared.read)

    def begin_infer(self, request: InferRequest, timeout: float) -> Callable[[], InferReply]:
        check_message_size(request)
        prepared, failure = self._prepare(request), None
        self._connection.wire.begin(timeout)
        try:
            self._connection.begin_post(prepared.message)
        except BaseException as error:
            if isinstance(error, Interrupted) or not isinstance(error, Exception):
                self._drop()
                self._connection.wire.end()
                raise
            failure = error

        def answer(connection: HttpConnection) -> HttpAnswer:
            nonlocal failure
            if failure is not None:
                error, failure = failure, None
                try:
                    raise error
                finally:
                    del error  # or the error's traceback would have the error
            connection.wire.resume()
            return connection.read_answer(prepared.message, prepared.limit)

        exchange = Exchange(answer, prepared.read)
        return lambda: self._call(f"inference of model {request.model}", "model", timeout, exchange, self._go_on)

    def _prepare(self, request: InferRequest) -> _Prepared:
        if request is self._repeated:  # a slot's request: the same for every window
            return self._prepared
        body, header_length = inference_body(request)
        path = f"{_path(request.model, request.version)}/infer"
        message = self._connection.inference(path, body, header_length)
        read = _reply_reader(request.output_name, request.sink is None)
        prepared = _Prepared(message, _answer_limit(request), read)
        if request.names_memory:
            self._repeated, self._prepared = request, prepared
        return prepared


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


def _reply_reader(output_name: str, inline: bool) -> Callable[[HttpAnswer], InferReply]:
    """Reads answers to one request; one without voxels that is the last one again is not read anew."""
    last: tuple[HttpAnswer, InferReply] | None = None

    def read(answer: HttpAnswer) -> InferReply:
        nonlocal last
        if last is not None and answer is last[0]:
            return last[1]
        _check_ok(answer)
        reply = answers.json_reply(answer.body, answer.header_length, output_name, inline)
        if not inline:
            last = answer, reply
        return reply

    return read


def _read_version(document: object) -> str:
    return answers.text(answers.mapping(document, "the metadata").get("version"), "the server's version")
