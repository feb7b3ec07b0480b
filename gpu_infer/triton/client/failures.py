"""Errors for refused calls and broken connections, the same for both protocols."""

from __future__ import annotations

from typing import Literal

from gpu_infer.errors import DeadlineError, ModelError, ServerError

Subject = Literal["server", "model"]

TEXT_LIMIT = 400  # characters of a quoted message of the server; a model's Python traceback can fill pages

SMALL_POOL = (
    "give the server a larger /dev/shm (docker run --shm-size=2g), or use a smaller batch_size, roi_size or fewer slots"
)


DENIED = ("UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403", "407")

ALLOW = "start the server with --allow-client-shm=true, without which releases from 2.69 on refuse"


class ConnectionLost(ServerError):
    """The server cannot be reached, or the connection broke during a call: try again when it is ready."""


class RegionUnknown(ServerError):
    """A request names a shared-memory region that the server does not know, for example after its restart."""


class RegionExists(ServerError):
    """The server knows a region of that name already."""


class RegionBusy(ServerError):
    """A region cannot be unregistered yet: the server works on a request that uses it."""


class AccessDenied(ServerError):
    """The server denies access, or its certificate is not trusted: waiting does not help."""


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
        remedy="raise the deadline (--deadline), or see in the server's log what keeps it",
    )


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
    if says_shared_memory_is_off(line):  # for any status: servers send UNAVAILABLE and 503, too
        return SharedMemoryOff(message)
    if "has no available versions" in line:
        return ModelError(message, remedy="the model is not loaded: see the server's log")
    if status in DENIED or (status == "UNAVAILABLE" and says_certificate_failed(line)):
        return access_denied(what, url, line)
    if status in ("UNAVAILABLE", "CANCELLED", "502", "503"):
        return connection_lost(what, url, line)
    if status in ("RESOURCE_EXHAUSTED", "413"):
        return ServerError(message, remedy="use --data system_shm, a smaller batch_size or a smaller roi_size")
    if subject == "model":
        return ModelError(message)
    return ServerError(message)
