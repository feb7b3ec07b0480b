"""Program of a worker process of the local engine: runs the cases that come through its standard input.

It ends if that pipe ends: the batch is complete, ends early, or was killed. Cases in work are given up then.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import IO

from gpu_infer.batch.engines.messages import (
    Begin,
    Ended,
    PipeHandler,
    Ready,
    Run,
    Sender,
    Step,
    Stopped,
    receive,
)
from gpu_infer.batch.error_kinds import known_error, line_of
from gpu_infer.batch.lanes import LaneEvents, Lanes
from gpu_infer.batch.worker import Worker
from gpu_infer.errors import Interrupted
from gpu_infer.logs import mark_lines

GIVE_UP_S = 4.5
"""Seconds for cases in work to be given up; those of a request that hangs end with the process."""

HARD_END_S = 7.5
"""Seconds from the end of the pipe to the end of the process, at most."""


def main() -> None:
    """Serve one batch, then end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the batch, which ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    sender = Sender(answers)
    begin = receive(sys.stdin.buffer)
    if isinstance(begin, Begin):
        _log_to(sender, begin.log_level)
        _Child(begin, sender).serve(sys.stdin.buffer)


def _log_to(sender: Sender, level: int) -> None:
    handler = PipeHandler(sender)
    mark_lines(handler)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("gpu_infer").setLevel(level)


class _Child:
    def __init__(self, begin: Begin, sender: Sender) -> None:
        self._job = begin.job
        self._sender = sender
        self._worker: Worker | None = None
        self._lock = threading.Lock()

    def serve(self, requests: IO[bytes]) -> None:
        """Run cases until the pipe ends. The lanes are threads, so that its end is seen at any time."""
        send = self._sender.send
        events = LaneEvents(
            progress=lambda case, state: send(Step(case, state.stage, state.done, state.total)),
            outcome=lambda outcome: send(Ended(outcome)),
            stopped=lambda error: send(Stopped(known_error(error), line_of(error))),
        )
        lanes = Lanes(self._started_worker, self._job.lanes, events)
        try:
            signal.signal(signal.SIGTERM, _interrupt)
            while isinstance(message := receive(requests), Run):
                lanes.put(message.case, message.attempts)
        except Interrupted:
            pass
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=_end_hard, name="hard-end", daemon=True).start()
        was_idle = lanes.is_idle
        lanes.give_up()
        if lanes.join(GIVE_UP_S) and self._worker is not None:
            given_up = None if was_idle else Interrupted("the batch ended")
            self._worker.__exit__(type(given_up) if given_up else None, given_up, None)
        from gpu_infer.triton.shm.registration import close_unreported

        close_unreported()

    def _started_worker(self) -> Worker:
        with self._lock:  # lanes that come meanwhile wait
            if self._worker is None:
                self._worker = Worker(self._job)
                self._sender.send(Ready())
            return self._worker


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(f"interrupted by {signal.Signals(number).name}")


def _end_hard() -> None:
    time.sleep(HARD_END_S)
    os._exit(1)
