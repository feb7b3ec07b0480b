"""Messages over pipes: whole ones arrive, half ones end the pipe, log lines keep what the log needs."""

from __future__ import annotations

import io
import logging
import os
import pickle
from pathlib import Path

from jobs import make_job

from gpu_infer.batch.engines.messages import Begin, Ended, LogLine, PipeHandler, Sender, Stopped, receive
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import InputError
from gpu_infer.logs import case_in_log, mark_lines


def test_messages_arrive_in_order_until_the_pipe_ends(tmp_path: Path) -> None:
    stream = io.BytesIO()
    sender = Sender(stream)
    sent = [Begin(make_job(tmp_path), 20), Ended(Outcome("a", "done", labels={"1": {"ml": 2.0}}))]
    assert all(sender.send(message) for message in sent)
    stream.seek(0)
    assert [receive(stream) for _ in range(3)] == [*sent, None]


def test_an_error_keeps_its_words_and_code() -> None:
    stream = io.BytesIO()
    Sender(stream).send(Stopped(InputError("a.nii: broken", remedy="fix it"), "text"))
    stream.seek(0)
    error = receive(stream).error
    assert (type(error), str(error), error.exit_code) == (InputError, "a.nii: broken (fix it)", 3)


def test_half_a_message_is_the_end() -> None:
    data = pickle.dumps(Ended(Outcome("a", "done")))
    for size in (0, 1, len(data) // 2, len(data) - 1):
        assert receive(io.BytesIO(data[:size])) is None


def test_nobody_reads() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "wb", buffering=0)
    assert not Sender(stream).send("text")
    stream.close()
    assert not Sender(stream).send("text")


def test_lines_of_the_log_come_with_their_case() -> None:
    stream = io.BytesIO()
    handler = PipeHandler(Sender(stream))
    mark_lines(handler)
    logger = logging.getLogger("test_messages")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with case_in_log("case_1"):
            logger.warning("two\nlines of %s", "text")
            try:
                raise ValueError("why")
            except ValueError:
                logger.exception("failed")
        logger.warning("outside")
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    stream.seek(0)
    assert receive(stream) == LogLine("test_messages", logging.WARNING, "case_1: two\\nlines of text")
    failed = receive(stream)
    assert failed.text == "case_1: failed"
    assert failed.trace.splitlines()[-1] == "ValueError: why"
    assert receive(stream).text == "outside"
