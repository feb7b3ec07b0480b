"""The one hierarchy of errors.

Each class knows the exit code that the command ends with (docs/exit-codes.md). The message is one line that names the
file or key, what was found and what was expected; the remedy says what to do about it.
"""

from __future__ import annotations

import unicodedata


def escape(text: str) -> str:
    """`text` as one line: line feeds, terminal controls, bytes that are not UTF-8 and the like as `\\n`, `\\x1b`, …

    Names of files, keys and tags come from users and may hold any character.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


class GpuInferError(Exception):
    """Base of every error that a user can cause or fix; as text it is one line, whatever names `message` holds."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """For pickle: subclasses have constructors of their own."""
        return _again, (type(self), self.message, self.remedy)

    def __str__(self) -> str:
        return escape(f"{self.message} ({self.remedy})" if self.remedy else self.message)


def _again(kind: type[GpuInferError], message: str, remedy: str | None) -> GpuInferError:
    error = kind.__new__(kind)
    GpuInferError.__init__(error, message, remedy=remedy)
    return error


class ConfigError(GpuInferError):
    """Bad usage or configuration: an option, a config key, a component, an output folder that cannot be used."""

    exit_code = 2


class InputError(GpuInferError):
    """The input volume is missing, ambiguous, broken or outside what is supported."""

    exit_code = 3


class ServerError(GpuInferError):
    """Triton cannot be reached, refused, or failed during a request."""

    exit_code = 4


class ModelError(ServerError):
    """The model is missing, not ready, or does not fit the volume and the configuration."""


class ModelNotReady(ModelError):
    """The server does not have the model, or has not loaded it: no volume is to blame."""


class DeadlineError(ServerError):
    """A wait ended at its deadline; the message names what was waited for and how long."""


class ResourceError(GpuInferError):
    """Out of memory, disk or shared memory."""

    exit_code = 5


class DeviceError(ResourceError):
    """The GPU or its driver failed: a launch, a copy, pinned memory."""


class CasesFailed(GpuInferError):
    """A batch is complete, but cases failed by their own fault."""

    exit_code = 6


class Interrupted(GpuInferError):
    """SIGTERM, SIGINT (Ctrl-C), SIGHUP or SIGQUIT."""

    exit_code = 130
