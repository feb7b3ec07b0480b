"""Errors of custom components: one line that names the component, the hook and the cause."""

from __future__ import annotations

import numbers
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from gpu_infer.errors import ConfigError, GpuInferError, Interrupted
from gpu_infer.system.shortage import shortage

_READ_ONLY = ("read-only", "must be writable")
"""Parts of the messages of NumPy, Cython and this package for writing into the array of a field."""


class Placed(Protocol):
    """A component: a transform, an inferer or a writer.

    where  its key in the configuration
    place  key and name
    """

    where: str

    @property
    def place(self) -> str: ...


class UnexpectedResultError(Exception):
    """A hook returned or recorded what the kind of component does not allow.

    Args:
        expected: In words.
        value: What it returned or recorded.
        found: The same in words, if the value itself says too little.
        remedy: What the author can do.
    """

    def __init__(
        self, expected: str, value: object = None, *, found: str | None = None, remedy: str = "fix the component"
    ) -> None:
        super().__init__(f"expected {expected}, found {describe(value) if found is None else found}")
        self.remedy = remedy


def describe(value: object) -> str:
    """A value in words for messages: arrays by shape and dtype, everything else by type and a short text."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{type(value).__name__} {shape} {dtype}"
    if value is None:
        return "None"
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:59] + '…'}"


def whole_bytes(value: Any) -> int:
    """`value` if it is a number of bytes; raises UnexpectedResultError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise UnexpectedResultError("a number of bytes", value)
    return int(value)


@contextmanager
def named(component: Placed, hook: str) -> Iterator[None]:
    """Turn whatever the hook raises into an error that names the component.

    ConfigError for any exception and for `sys.exit`; a lack of memory or space remains a ResourceError, and an error of
    this package keeps its class. Interrupts pass.
    """
    place = _place(component)
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        raise
    except GpuInferError as error:
        if not error.message.startswith(place):
            error.message = f"{place}: {hook}: {error.message}"
        raise
    except UnexpectedResultError as error:
        raise ConfigError(f"{place}: {hook}: {error}", remedy=error.remedy) from error
    except BaseException as error:  # code of others may raise any class, even SystemExit
        if (lack := shortage(error)) is not None:
            raise type(lack)(f"{place}: {hook}: {lack.message}", remedy=lack.remedy) from error
        raise ConfigError(f"{place}: {hook} failed: {_words(error)}", remedy=_remedy(error, component)) from error


def _place(component: Placed) -> str:
    try:
        return component.place
    except Exception:  # the author may have replaced the label too
        return f"{component.where}: {type(component).__name__}"


def _line(error: BaseException, component: Placed) -> str:
    """The last line of the component's own file that led to an error, as " at my_component.py, line 3"; or nothing."""
    file = getattr(sys.modules.get(type(component).__module__), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" at {Path(file).name}, line {lines[-1]}" if file and lines else ""


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    text: Any = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _remedy(error: BaseException, component: Placed) -> str:
    if isinstance(error, SystemExit):
        return "a component raises an exception to fail"
    if isinstance(error, (ValueError, TypeError)) and any(part in str(error) for part in _READ_ONLY):
        return "fields can share an array, so write into a copy of it"
    return f"fix the component{_line(error, component)}; --debug shows the traceback"
