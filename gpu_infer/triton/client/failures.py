"""Errors for refused calls and broken connections, the same for both protocols."""

from __future__ import annotations

import re
from typing import Literal

from gpu_infer.errors import DeadlineError, ModelError, ServerError

Subject = Literal["server", "model"]

TEXT_LIMIT = 400  # characters of a quoted message of the server; a model's Python traceback can fill pages

RAISE_DEADLINE = "raise the deadline (--deadline)"

SMALL_POOL = (
    "give the server a larger /dev/shm (docker run --shm-size=2g), or use a smaller batch_size, roi_size or fewer slots"
)


DENIED = ("UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403", "407")

_GATEWAY_STATUS = ("502", "504", *map(str, range(520, 531)))
"""Status of answers of a proxy that does not reach the server; Triton sends none of them."""

_GATEWAY_TEXT = re.compile(
    r"(Received http2 header with status: |http1\.x server \(HTTP status )(502|503|504|52\d|530)\b",
)
"""gRPC's messages about such an answer, over HTTP/2 and over HTTP/1."""

ALLOW = "start the server with --allow-client-shm=true, without which releases from 2.69 on refuse"


_FOREIGN_TEXT = re.compile(r"http1\.x server \(HTTP status (\d{3})|Received http2 header with status: (404|405|501)\b")
"""gRPC's messages about a program that serves no gRPC: over HTTP/1, or over HTTP/2 a path that it does not know."""

UNREACHABLE = "server or proxy not reachable: "
"""The part of the message of `unreachable` before the proxy's text."""


class ConnectionLost(ServerError):
    """The server cannot be reached, or the connection broke during a call: try again when it is ready."""


class RegionUnknown(ServerError):
    """A request names a shared-memory region that the server does not know, for example after its restart."""


class RegionExists(ServerError):
    """The server knows a region of that name already."""


class RegionBusy(ServerError):
    """A region cannot be unregistered yet: the server works on a request that uses it."""


class QueueFull(ConnectionLost):
    """The queue of the model takes no further request: try again later."""


class AccessDenied(ServerError):
    """The server denies access, or its certificate is not trusted: waiting does not help."""


class NotTriton(ServerError):
    """Another program answers at the address, or a server of the older protocol: waiting does not help."""

    def __init__(
        self, url: str, evidence: str, who: str = "a TensorRT Inference Server (V1) or another program"
    ) -> None:
        super().__init__(
            f"{url} answers, but not as a Triton with protocol V2 ({evidence}): {who}",
            remedy="start Triton there, or correct the address (--triton host:port, NVIDIA_CLARA_TRTISURI)",
        )


class SharedMemoryOff(ServerError):
    """The server accepts no shared memory from clients, so it knows no region."""

    def __init__(self, message: str, *, remedy: str | None = ALLOW) -> None:
        super().__init__(message, remedy=remedy)


def says_shared_memory_is_off(text: str) -> bool:
    """Whether a message is that of a server that was started without shared memory for clients."""
    words = text.lower()
    if "client-shm" in words or "client_shm" in words:
        return True
    return "shared memory" in words and ("disabled" in words or "not allowed" in words)


def one_line(text: object, limit: int = TEXT_LIMIT) -> str:
    """`text` without line breaks and terminal controls, cut to `limit` characters."""
    line = " ".join(str(text).split())
    if not line.isprintable():
        line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def deadline(what: str, url: str, seconds: float) -> DeadlineError:
    """The error of a call that did not end in time."""
    return DeadlineError(
        f"{what} at {url} did not end within {seconds:g} s",
        remedy="see in the server's log what keeps it",
    )


def with_option(error: DeadlineError, advice: str) -> DeadlineError:
    """The same error with a remedy that begins with the option that sets its limit, which the caller knows."""
    return DeadlineError(error.message, remedy=f"{advice}, or {error.remedy}")


def malformed(what: str, url: str, reason: object) -> ServerError:
    """The error of an answer that cannot be read, or that no Triton sends."""
    if isinstance(reason, Exception) and type(reason).__module__ == "builtins":
        reason = f"{type(reason).__name__}: {reason}"  # the text of a KeyError alone does not explain it
    return ServerError(
        f"{what} at {url}: the answer cannot be used: {one_line(reason)}",
        remedy="check that a Triton server listens there, with nothing in between that changes its answers",
    )


def access_denied(what: str, url: str, reason: object) -> AccessDenied:
    """The error of a server that requires credentials, or whose certificate cannot be verified."""
    line = one_line(reason)
    if says_certificate_failed(line):
        remedy = (
            "name the authority that signed the server's certificate with --tls-ca, and the host as it is certified"
        )
    else:
        remedy = "give the credentials that the server expects: --headers FILE, or --tls-cert and --tls-key"
    return AccessDenied(f"{what} at {url}: access denied: {line}", remedy=remedy)


def says_certificate_failed(text: str) -> bool:
    """Whether a message of a TLS library is about a certificate that it does not trust."""
    words = text.lower().replace("_", " ")
    return "certificate verify failed" in words or "hostname verification" in words


def connection_lost(what: str, url: str, reason: object) -> ConnectionLost:
    """The error of a call that did not reach the server, or whose connection broke."""
    return ConnectionLost(
        f"{what} at {url}: connection failed: {one_line(reason)}",
        remedy="check that Triton runs and that address, port and protocol are right",
    )


def is_gateway(status: str, text: str) -> bool:
    """Whether a proxy answered in place of the server; Triton's 503 has a text without its status."""
    if status == "503":
        return text.startswith("status 503")
    return status in _GATEWAY_STATUS or (
        status in ("UNAVAILABLE", "UNKNOWN") and _GATEWAY_TEXT.search(text) is not None
    )


def other_port(url: str, evidence: str, protocol: Literal["HTTP", "gRPC"]) -> NotTriton:
    """The error of an address at which a program answers as Triton does at its port for `protocol`."""
    error = NotTriton(url, evidence, f"Triton's port for {protocol}, or another program")
    error.remedy = "correct the address (--triton host:port, NVIDIA_CLARA_TRTISURI) or --control, or start Triton there"
    return error


def not_triton(url: str, status: str, text: str) -> NotTriton | None:
    """The error if gRPC's status and text show that the program at `url` serves no Triton over gRPC; else None."""
    if is_gateway(status, text):
        return None
    match = _FOREIGN_TEXT.search(text)
    if match is not None and (code := match[1] or match[2]) not in (*DENIED, "429"):
        return other_port(url, f"HTTP {code} to a gRPC request", "HTTP")
    if "Failed parsing HTTP/2" in text:
        return other_port(url, "no HTTP/2", "HTTP")
    return NotTriton(url, "gRPC UNIMPLEMENTED") if status == "UNIMPLEMENTED" else None


def unreachable(what: str, url: str, reason: object) -> ConnectionLost:
    """The error of a call that a proxy answered because it did not reach the server, or not in time."""
    return ConnectionLost(
        f"{what} at {url}: {UNREACHABLE}{one_line(reason)}",
        remedy="check that Triton runs, and the proxy or gateway at this address: where it sends requests, and how long"
        " it waits for an answer",
    )


def refusal(what: str, url: str, status: str, text: object, subject: Subject) -> ServerError:
    """The error for a call that the server refuses.

    what     the call, for the message
    status   Triton's or gRPC's name of the status, or an HTTP code: "NOT_FOUND", "404"
    subject  "model": a ModelError unless a more special error fits; "server": a ServerError
    """
    line = one_line(text or "") or f"refused with status {status or 'unknown'}, without a text"
    message = f"{what} at {url}: {line}"
    if "Unable to find shared memory region" in line:
        return RegionUnknown(
            message, remedy="the server was restarted, or the region was unregistered by somebody else"
        )
    if "already in manager" in line:
        return RegionExists(message)
    if "currently in use" in line:
        return RegionBusy(message)
    if "shared memory pool" in str(text):  # of the Python backend, for its tensors
        remedy = SMALL_POOL
        return ModelError(message, remedy=remedy) if subject == "model" else ServerError(message, remedy=remedy)
    if "Exceeds maximum queue size" in line:
        return QueueFull(
            message,
            remedy="others use this model, too: take fewer slots (--slots), or raise its max_queue_size",
        )
    if says_shared_memory_is_off(line):  # for any status: servers send UNAVAILABLE and 503, too
        return SharedMemoryOff(message)
    if "has no available versions" in line:
        return ModelError(message, remedy="the model is not loaded: see the server's log")
    if status in DENIED or (status == "UNAVAILABLE" and says_certificate_failed(line)):
        return access_denied(what, url, line)
    if is_gateway(status, line):
        return unreachable(what, url, line)
    if status in ("UNAVAILABLE", "CANCELLED", "503"):
        return connection_lost(what, url, line)
    if status in ("RESOURCE_EXHAUSTED", "413"):
        return ServerError(message, remedy="use --data system_shm, a smaller batch_size or a smaller roi_size")
    if subject == "model":
        return ModelError(message)
    return ServerError(message)
