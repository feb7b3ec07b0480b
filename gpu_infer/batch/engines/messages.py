"""Messages between the process of a batch and its workers: pickles over pipes, in both directions."""

from __future__ import annotations

import logging
import pickle
import threading
from dataclasses import dataclass
from typing import IO, Any

from gpu_infer.batch.case import Case
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import GpuInferError

# -- to a worker; the end of the pipe ends it, also if the batch was killed -----------------------------------------


@dataclass(frozen=True)
class Begin:
    """The first message."""

    job: BatchJob
    log_level: int


@dataclass(frozen=True)
class Run:
    """Run a case; a worker has at most as many as the job has lanes."""

    case: Case
    attempts: int


# -- from a worker ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """The worker runs cases from now on."""


@dataclass(frozen=True)
class Step:
    """Progress of a case."""

    id: str
    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Ended:
    """A case has ended."""

    outcome: Outcome


@dataclass(frozen=True)
class Stopped:
    """An error ended the worker. `error` is of this package; `text` describes any other one."""

    error: GpuInferError | None
    text: str


@dataclass(frozen=True)
class LogLine:
    """A record of the worker's log."""

    logger: str
    level: int
    text: str
    trace: str | None = None
    notice: bool = False


class Sender:
    """Writes messages into a pipe, from any thread."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: object) -> bool:
        """Whether somebody still reads."""
        data = pickle.dumps(message)
        try:
            with self._lock:
                self._stream.write(data)
                self._stream.flush()
        except (OSError, ValueError):
            return False
        return True


def receive(stream: IO[bytes]) -> Any:
    """The next message; None at the end of the pipe, also in the middle of a message."""
    try:
        return pickle.load(stream)
    except (EOFError, pickle.UnpicklingError, OSError, ValueError):
        return None


class PipeHandler(logging.Handler):
    """Log handler of a worker: the batch writes the lines, so that one process writes the log and the terminal."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        trace = record.exc_text
        notice = bool(getattr(record, "notice", False))
        self._sender.send(LogLine(record.name, record.levelno, record.getMessage(), trace, notice))
