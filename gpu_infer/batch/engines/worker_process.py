"""One worker process of the local engine, seen from the batch: start it, deal to it, end it."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.messages import Begin, Run, Sender, receive
from gpu_infer.batch.job import BatchJob
from gpu_infer.errors import ResourceError

_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from gpu_infer.batch.engines.child import main; main()"

Inbox = queue.SimpleQueue[tuple["WorkerProcess", Any]]
"""(worker, message) of all workers; the message is None at the end of a process."""


class WorkerProcess:
    """A child that runs cases of `job`; what it sends is put into `inbox` by a thread.

    in_work    cases that it has received and not ended, by identifier, and how often each has been begun
    is_ready   it has sent `Ready`
    closed     it ends, and gets no further case

    Raises ResourceError if no process can be started.
    """

    def __init__(
        self, number: int, job: BatchJob, inbox: Inbox, environ: Mapping[str, str], inherited: Sequence[int]
    ) -> None:
        """environ: variables on top of this process's. inherited: descriptors that the child holds while it lives."""
        self.number = number
        self.in_work: dict[str, tuple[Case, int]] = {}
        self.is_ready = False
        self.closed = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _COMMAND, *filter(None, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **environ},
                pass_fds=tuple(inherited),
                start_new_session=True,  # Ctrl-C in the terminal reaches the batch alone, which ends its workers
            )
        except (OSError, MemoryError) as error:
            raise ResourceError(
                f"no process for worker {number}: {error}", remedy="allow more processes, descriptors or memory"
            ) from None
        assert self._process.stdin is not None
        self._sender = Sender(self._process.stdin)
        self._reader = threading.Thread(target=self._read, args=(inbox,), name=f"worker-{number}", daemon=True)
        self._reader.start()
        self._sender.send(Begin(job, logging.getLogger("gpu_infer").getEffectiveLevel()))

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, case: Case, attempts: int) -> None:
        """Send a case. One that a dead worker does not receive is in work until its end is reported."""
        self.in_work[case.id] = (case, attempts)
        self._sender.send(Run(case, attempts))

    def close(self) -> None:
        """End it: cases in work are given up. Does not wait."""
        self.closed = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, seconds: float) -> None:
        """Wait for its end, and kill it after `seconds`."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def exit_status(self) -> int:
        """As of `Popen.wait`: negative for a signal. Call it after the end was reported."""
        return self._process.wait()

    def _read(self, inbox: Inbox) -> None:
        assert self._process.stdout is not None
        while (message := receive(self._process.stdout)) is not None:
            inbox.put((self, message))
        inbox.put((self, None))
