"""Where log lines go, and what a configuration that cannot be used says."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_infer import logs
from gpu_infer.errors import ConfigError, Interrupted


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("gpu_infer")
    before = (root.handlers[:], root.level, ours.handlers[:], ours.level)
    yield
    for handler in {*root.handlers, *ours.handlers} - {*before[0], *before[2]}:
        handler.close()
    root.handlers[:], ours.handlers[:] = before[0], before[2]
    root.setLevel(before[1])
    ours.setLevel(before[3])


def test_file_and_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = logs.configure(tmp_path / "logs")
    assert path == tmp_path / "logs" / "gpu_infer.log"
    console = io.StringIO()
    monkeypatch.setattr(sys, "stderr", console)  # after configure: the stream is looked up for each record
    logging.getLogger("gpu_infer.x").info("tiles %d", 3)
    logging.getLogger("gpu_infer.x").debug("not shown")
    logging.getLogger("other.library").info("not shown either")
    assert console.getvalue().endswith("INFO    gpu_infer.x: tiles 3\n")
    assert path.read_text() == console.getvalue()
    assert not logs.debugging()


def test_debug(tmp_path: Path) -> None:
    path = logs.configure(tmp_path, debug=True)
    logging.getLogger("gpu_infer.x").debug("shown")
    assert logs.debugging()
    assert path is not None
    assert "gpu_infer.x: shown" in path.read_text()


def test_failures_are_recorded_in_the_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = logs.configure(tmp_path)
    try:
        raise ValueError("deep")
    except ValueError as error:
        logs.record_failure("it failed", error)
    assert path is not None
    text = path.read_text()
    assert "it failed" in text
    assert "ValueError: deep" in text
    assert "Traceback" in text
    assert capsys.readouterr().err == ""


def test_unwritable_folder_leaves_the_console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    obstacle = tmp_path / "file"
    obstacle.write_text("")
    assert logs.configure(obstacle / "logs") is None
    message = capsys.readouterr().err
    assert "WARNING gpu_infer.logs: no log file:" in message
    assert f"{obstacle}/logs/gpu_infer.log cannot be written: Not a directory" in message


def test_no_folder_asked_for_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert logs.configure(None) is None
    assert capsys.readouterr().err == ""


def test_the_copy_beside_the_config_wins(tmp_path: Path) -> None:
    own = {
        "version": 1,
        "formatters": {"f": {"format": "own %(message)s"}},
        "handlers": {"h": {"class": "logging.FileHandler", "filename": "mine.txt", "formatter": "f"}},
        "root": {"level": "INFO", "handlers": ["h"]},
    }
    (tmp_path / "logging_config.json").write_text(json.dumps(own))
    path = logs.configure(tmp_path / "logs", tmp_path)
    assert path == tmp_path / "logs" / "mine.txt"
    logging.getLogger("gpu_infer.app").info("line")  # made before: dictConfig alone would have silenced it
    assert path.read_text() == "own line\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"logging_config.json: not valid JSON: .*line 1 column 2"),
        ("[]", "logging_config.json: found list, expected an object"),
        ("{}", "logging_config.json: .*version"),
        ('{"version": 1, "root": {"handlers": ["nowhere"]}}', "logging_config.json: .*nowhere"),
        ('{"version": 1, "handlers": {"a": {"class": "no.such.Class"}}}', "logging_config.json: .*'a'"),
        ('{"version": 1, "handlers": 3}', "logging_config.json: "),
    ],
)
def test_bad_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "logging_config.json").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        logs.configure(None, tmp_path)
    assert caught.value.remedy


def test_a_fifo_as_log_file_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "gpu_infer.log")
    assert logs.configure(tmp_path) is None
    assert "gpu_infer.log cannot be written: it is a FIFO" in capsys.readouterr().err
    reader = os.open(tmp_path / "gpu_infer.log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert logs.configure(tmp_path) is None
    finally:
        os.close(reader)


def test_a_fifo_as_logging_configuration_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "logging_config.json")
    with pytest.raises(ConfigError, match=r"logging_config.json cannot be read: it is no regular file"):
        logs.configure(None, tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"version": ' + "9" * 5000 + "}"])
def test_a_logging_configuration_beyond_reading(content: str, tmp_path: Path) -> None:
    (tmp_path / "logging_config.json").write_text(content)
    with pytest.raises(ConfigError, match="not valid JSON"):
        logs.configure(None, tmp_path)


def test_a_factory_that_ends_the_program_is_an_error(tmp_path: Path) -> None:
    handlers = {"a": {"()": "sys.exit"}}
    (tmp_path / "logging_config.json").write_text(json.dumps({"version": 1, "handlers": handlers}))
    with pytest.raises(ConfigError, match=r"logging_config.json"):
        logs.configure(None, tmp_path)


def test_a_full_disk_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logs.LogFileHandler("/dev/full")
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "line", "levelno": logging.ERROR}))
    handler.close()
    expected = "gpu-infer: warning: /dev/full cannot be written: No space left on device\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("kind", ["console", "file"])
def test_an_interrupt_while_a_line_is_written_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Python's logging drops what `emit` raises, and a signal may come in the middle of it."""

    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            raise Interrupted("interrupted by SIGTERM")

    handler: logging.Handler
    if kind == "console":
        handler = logs.StderrHandler()
        monkeypatch.setattr(sys, "stderr", Interrupting())
    else:
        handler = logs.LogFileHandler(tmp_path / "gpu_infer.log", delay=True)
        monkeypatch.setattr(handler, "_open", Interrupting)
    with pytest.raises(Interrupted):
        handler.handle(logging.makeLogRecord({"msg": "a line"}))
