"""What a terminal and a pipe show of a run; the log file has everything."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from operator_helpers import write_nifti

from gpu_infer import logs
from gpu_infer.cli.verbosity import console_level
from gpu_infer.errors import ConfigError
from gpu_infer.system.notices import NOTICE

FAILURE = "gpu-infer: error: no Triton server ready within 0.2 s: "
DEVICE = "gpu_infer.backends.choose: device auto: the CPU"


def _stderr(folder: Path, *options: str, terminal: bool) -> str:
    """What a run without a server writes to stderr."""
    write_nifti(folder / "case.nii", np.zeros((4, 4, 4), np.int16), np.eye(4))
    files = ["-i", str(folder / "case.nii"), "-o", str(folder / "out")]
    command = [sys.executable, "-m", "gpu_infer", "run", *files, "--triton", "127.0.0.1:9", "--wait", "0.2", *options]
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb"}
    if not terminal:
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False)
        assert (done.returncode, done.stdout) == (4, "")
        return done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stderr=theirs) as process:
        os.close(theirs)
        content = b""
        while chunk := _read(ours):
            content += chunk
    os.close(ours)
    assert process.returncode == 4
    return content.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize(
    ("options", "terminal", "every_line"),
    [((), True, False), (("-v",), True, True), (("-q",), True, False), ((), False, True), (("-q",), False, False)],
)
def test_log_lines_on_stderr(tmp_path: Path, options: tuple[str, ...], terminal: bool, every_line: bool) -> None:
    text = _stderr(tmp_path, *options, terminal=terminal)
    assert (DEVICE in text) == every_line
    assert text.count(FAILURE) == 1
    assert DEVICE in (tmp_path / "out" / "gpu_infer.log").read_text()


def test_errors_alone_are_one_line(tmp_path: Path) -> None:
    text = _stderr(tmp_path, "--quiet", terminal=False)
    assert text.startswith(FAILURE)
    assert text.count("\n") == 1


def test_a_terminal_shows_warnings_and_notices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("gpu_infer.somewhere")
    for level, expected in (
        (logging.WARNING, "gpu-infer: compiling (once)\ngpu-infer: warning: a gap\n"),
        (logging.ERROR, ""),
    ):
        file = logs.configure(tmp_path, console=level)
        log.info("a detail")
        log.info("compiling (once)", extra=NOTICE)
        log.warning("a gap")
        assert capsys.readouterr().err == expected
        assert file is not None
        lines = file.read_text().splitlines()[-3:]
        assert [line.partition("somewhere: ")[2] for line in lines] == ["a detail", "compiling (once)", "a gap"]


def test_both_options_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="--quiet contradicts --verbose"):
        console_level(verbose=True, quiet=True)
