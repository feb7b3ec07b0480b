"""Kinds of failures: which are the case's own, and which the server's or the machine's."""

from __future__ import annotations

from gpu_infer.errors import (
    ConfigError,
    GpuInferError,
    InputError,
    ModelError,
    ModelNotReady,
    ResourceError,
    ServerError,
    escape,
)
from gpu_infer.redaction import redact
from gpu_infer.system.shortage import shortage

TRANSIENT = ("server", "resource")
"""Kinds for which the case is not to blame: it is tried again by the next batch."""

CRASH = "crash"

_KINDS: tuple[tuple[type[GpuInferError], str], ...] = (
    (InputError, "input"),
    (ModelNotReady, "server"),
    (ModelError, "model"),
    (ServerError, "server"),
    (ResourceError, "resource"),
    (ConfigError, "config"),
)


def known_error(error: BaseException) -> GpuInferError | None:
    """The error, or the one for a lack of memory or descriptors that caused it; None if it is unexpected."""
    return error if isinstance(error, GpuInferError) else shortage(error)


def kind_of(error: BaseException) -> str:
    """The `kind` of an outcome."""
    known = known_error(error)
    return next((kind for cls, kind in _KINDS if isinstance(known, cls)), "unexpected")


def line_of(error: BaseException) -> str:
    """The error as one line, without values of `{VAR}`."""
    known = known_error(error)
    text = str(known) if known is not None else f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
    return redact(escape(text))


def exit_code_of(error: BaseException) -> int:
    """The code with which a single run ends that raises the error."""
    known = known_error(error)
    return 1 if known is None else known.exit_code
