"""Logging from config/logging_config.json, in the form that `logging.config.dictConfig` reads.

A copy in the folder of the operator's configuration replaces the packaged one. Relative file names start from the logs
folder. If that folder cannot be written, the console is the only handler, after a warning.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import logging.config
import os
import stat
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from gpu_infer.errors import ConfigError, Interrupted, escape
from gpu_infer.redaction import redact
from gpu_infer.system.regular_file import read_bytes
from gpu_infer.system.resources import resource_folder

FILE_NAME = "logging_config.json"

_STANDARD_STREAMS = ("/dev/stdout", "/dev/stderr")
"""Log files that can be pipes."""

log = logging.getLogger(__name__)

_case: ContextVar[str | None] = ContextVar("case", default=None)
"""Identifier of the case of a batch that this thread runs."""


@contextlib.contextmanager
def case_in_log(name: str) -> Iterator[None]:
    """Put the identifier of a case in front of every line that this thread logs during the block."""
    token = _case.set(name)
    try:
        yield
    finally:
        _case.reset(token)


def _raise_interrupt() -> None:
    """Raise an interrupt that came while a record was written: `logging` passes every exception to `handleError`."""
    error = sys.exc_info()[1]
    if isinstance(error, Interrupted):
        raise error


class StderrHandler(logging.StreamHandler[TextIO]):
    """Console handler that looks up `sys.stderr` for every record.

    A progress bar replaces `sys.stderr` as long as it is drawn, so that log lines appear above it. A stream from before
    would write through the bar.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        raise AttributeError("the stream is always sys.stderr")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore the error, except an interrupt: the terminal or pipe is closed, and the run continues."""
        _raise_interrupt()


class _OneLine(logging.Filter):
    """Replaces each value of a `{VAR}` by the variable's name, and makes every message one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        case = None if getattr(record, "has_case", False) else _case.get()
        record.has_case = True  # another handler's filter may see the record, too
        text = record.getMessage() if case is None else f"{case}: {record.getMessage()}"
        record.msg, record.args = escape(redact(text)), ()
        if record.exc_info:
            record.exc_text = redact(record.exc_text or logging.Formatter().formatException(record.exc_info))
        return True


def mark_lines(handler: logging.Handler) -> None:
    """Have a handler write each message as one line, with the case in front and the values of `{VAR}` hidden."""
    handler.addFilter(_OneLine())


class _ConsoleFilter(logging.Filter):
    """Passes records of at least a level, and notices unless only errors are wanted."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        is_notice = getattr(record, "notice", False) and self._level < logging.ERROR
        return is_notice or record.levelno >= self._level


class _ConsoleFormatter(logging.Formatter):
    """Lines like those of errors, without time and module."""

    def format(self, record: logging.LogRecord) -> str:
        kind = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"gpu-infer: {kind}{record.getMessage()}"


class LogFileHandler(logging.FileHandler):
    """File handler that reports once on stderr that the file cannot be written, without a traceback for every line."""

    _reported = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # the base class opens a delayed file outside of its own `try`
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        _raise_interrupt()
        if not self._reported:
            self._reported = True
            reason = getattr(sys.exc_info()[1], "strerror", None) or sys.exc_info()[1]
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"gpu-infer: warning: {escape(self.baseFilename)} cannot be written: {reason}\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk, which `handleError` has reported
            super().close()


def configure(
    logs: Path | None, config_folder: Path | None = None, *, debug: bool = False, console: int = logging.NOTSET
) -> Path | None:
    """Set up logging for this process.

    Args:
        logs: folder for relative file names, created if missing; None: no files.
        config_folder: folder that can contain its own logging_config.json.
        debug: lower the level of `gpu_infer` to DEBUG.
        console: lowest level that the console shows, as short lines; NOTSET: everything, in the configured format.

    Returns:
        The first log file, None if there is only the console.

    Raises:
        ConfigError: the file, which the message names, is not JSON or not a logging configuration.
    """
    path = _find(config_folder)
    settings = _load(path)
    unwritable = _place_files(settings, logs)
    try:
        logging.config.dictConfig(settings)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:  # factories are users' code and may raise anything, even SystemExit
        logging.getLogger().handlers.clear()  # some may be closed already
        cause = error.__cause__ or error
        raise ConfigError(
            f"{path}: {error}: {cause}" if cause is not error else f"{path}: {error}",
            remedy="expected a configuration for Python's logging.config.dictConfig, version 1",
        ) from error
    for handler in {*logging.getLogger().handlers, *logging.getLogger("gpu_infer").handlers}:
        mark_lines(handler)
        if console > logging.NOTSET and _is_console(handler):
            handler.addFilter(_ConsoleFilter(console))
            handler.setFormatter(_ConsoleFormatter())
    if debug:
        logging.getLogger("gpu_infer").setLevel(logging.DEBUG)
    if unwritable is not None and logs is not None:
        log.warning("no log file: %s (the console remains; choose another folder with --logs)", unwritable)
    return next((Path(handler.baseFilename) for handler in _file_handlers()), None)


def record_failure(message: str, error: BaseException | None = None) -> bool:
    """Write a last line, with the traceback of `error`, to the log files only; returns whether there is one."""
    handlers = _file_handlers()
    trace = None if error is None else (type(error), error, error.__traceback__)
    for handler in handlers:
        handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, message, (), trace))
    return bool(handlers)


def debugging() -> bool:
    """Whether debug output is on."""
    return logging.getLogger("gpu_infer").isEnabledFor(logging.DEBUG)


def _find(config_folder: Path | None) -> Path:
    if config_folder is not None and os.path.lexists(config_folder / FILE_NAME):
        return config_folder / FILE_NAME
    try:
        return resource_folder("config") / FILE_NAME
    except FileNotFoundError as error:
        raise ConfigError(str(error), remedy="install gpu-infer again") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(read_bytes(path).decode("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", remedy="give a file that this user may read"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}", remedy="fix the file or delete it") from error
    if not isinstance(settings, dict):
        raise ConfigError(
            f"{path}: found {type(settings).__name__}, expected an object",
            remedy="fix the file or delete it",
        )
    # Python's default would silence all existing loggers of this package.
    settings.setdefault("disable_existing_loggers", False)
    return settings


def _place_files(settings: dict[str, Any], logs: Path | None) -> str | None:
    """Make file names absolute, or remove file handlers that cannot write; returns the reason for a removal."""
    handlers = settings.get("handlers")
    if not isinstance(handlers, dict):
        return None
    reason = None
    for name, handler in list(handlers.items()):
        if not isinstance(handler, dict) or not isinstance(handler.get("filename"), str):
            continue
        target = Path(handler["filename"])
        if not target.is_absolute():
            target = (logs / target).absolute() if logs is not None else target
        problem = "no logs folder" if not target.is_absolute() else _problem(target)
        if problem is None:
            handler["filename"] = str(target)
            continue
        reason = problem
        del handlers[name]
        loggers = settings.get("loggers")
        for owner in [settings.get("root"), *(loggers.values() if isinstance(loggers, dict) else ())]:
            if isinstance(owner, dict) and name in owner.get("handlers", ()):
                owner["handlers"] = [other for other in owner["handlers"] if other != name]
    return reason


def _problem(target: Path) -> str | None:
    """The reason why `target` cannot be appended to; None if it can."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Opening is the only sure test: access bits do not cover read-only file systems and uids without an entry.
        # O_NONBLOCK: a FIFO would wait for a reader.
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except (OSError, ValueError) as error:
        fifo = getattr(error, "errno", None) == errno.ENXIO
        return f"{target} cannot be written: {'it is a FIFO' if fifo else getattr(error, 'strerror', None) or error}"
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and str(target) not in _STANDARD_STREAMS:
            return f"{target} cannot be written: it is a FIFO"
    finally:
        os.close(descriptor)
    return None


def _is_console(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)


def _file_handlers() -> list[logging.FileHandler]:
    owners = (logging.getLogger(), logging.getLogger("gpu_infer"))
    return [handler for owner in owners for handler in owner.handlers if isinstance(handler, logging.FileHandler)]
