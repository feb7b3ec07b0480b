"""Errors as text: one line each, whatever a user's names hold."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError, GpuInferError, InputError, escape
from gpu_infer.triton.client.failures import ConnectionLost, NotTriton


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a  b \N{LATIN SMALL LETTER U WITH DIAERESIS}\N{NO-BREAK SPACE}x", "a  b ü\N{NO-BREAK SPACE}x"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x07\x7f", r"\x1b[31mred\x07\x7f"),
        ("a\N{LINE SEPARATOR}b\x85c\N{RIGHT-TO-LEFT OVERRIDE}d", r"a\u2028b\x85c\u202ed"),
        (os.fsdecode(b"a\xff"), r"a\udcff"),
        (r"a\nb", r"a\nb"),
    ],
)
def test_escape(text: str, line: str) -> None:
    assert escape(text) == line
    assert escape(line) == line


def test_errors_are_one_line() -> None:
    error = InputError("/in/a\nb.nii: truncated", remedy="copy it\nagain")
    assert str(error) == r"/in/a\nb.nii: truncated (copy it\nagain)"
    assert error.message == "/in/a\nb.nii: truncated"  # wrapped messages are escaped once
    assert str(ConfigError(f"x: {error}")) == rf"x: {error}"
    assert str(GpuInferError("a\x1bb")) == r"a\x1bb"


def gpu_infer(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_infer", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_names_with_line_feeds_on_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "two  blanks\nand \x1b[1ma line"
    logs = tmp_path / "logs"
    places = ("--logs", str(logs), "--output", str(tmp_path / "out"), "--publish", "", "--triton", "127.0.0.1:1")
    done = gpu_infer("run", "--input", str(folder), *places)
    assert done.returncode == 3
    line = rf"{tmp_path}/two  blanks\nand \x1b[1ma line: no such file or folder (check the input path"
    assert done.stderr.splitlines()[-1].startswith(f"gpu-infer: error: {line}")
    assert json.loads((logs / "report.json").read_text())["error"].startswith(line)
    assert line in (logs / "gpu_infer.log").read_text().splitlines()[-1]


def test_values_with_line_feeds(tmp_path: Path) -> None:
    done = gpu_infer("run", "--logs", str(tmp_path), "--roi", "1,\n\x1b[1m2")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert r"--roi: found '1,\n\x1b[1m2'" in done.stderr


def test_doctor_lines(tmp_path: Path) -> None:
    done = gpu_infer("doctor", "--input", f"{tmp_path}/a\nb", "--triton", "127.0.0.1:1", "--wait", "0.1")
    assert rf"fail  input: {tmp_path}/a\nb: no such file" in done.stdout
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in done.stdout.splitlines())


def test_log_lines(tmp_path: Path) -> None:
    code = "import logging\nfrom gpu_infer import logs\nfrom pathlib import Path\nimport sys\n"
    code += "logs.configure(Path(sys.argv[1]))\nlogging.getLogger('gpu_infer.x').warning('%s: odd', 'a\\nb\\udcff')\n"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert done.stderr.count("\n") == 1
    assert r"gpu_infer.x: a\nb\udcff: odd" in (tmp_path / "gpu_infer.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "error",
    [
        InputError("scan.nii: cut", remedy="copy it again"),
        NotTriton("localhost:8000", "404", "a web server"),
        ConnectionLost("gone"),
    ],
)
def test_errors_can_be_sent_to_other_processes(error: GpuInferError) -> None:
    sent = pickle.loads(pickle.dumps(error))
    assert type(sent) is type(error)
    assert (sent.message, sent.remedy, str(sent)) == (error.message, error.remedy, str(error))
