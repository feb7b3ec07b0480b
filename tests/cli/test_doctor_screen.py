"""`gpu-infer doctor` on a terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress

import pytest
from rich.console import Console

from gpu_infer.cli import console, doctor_screen
from gpu_infer.doctor.check import Check, in_group

HEALTHY = [
    *in_group(
        "install",
        [
            Check("gpu_infer", "ok", "0.1.0, Python 3.11.7 (/home/someone/project/.venv/bin/python)"),
            Check(
                "packages",
                "ok",
                "numpy 2.4.6, numba 0.68.1, SimpleITK 2.5.7, nibabel 5.4.2, pydicom 3.0.2, tritonclient 2.73.0, "
                "pydantic 2.14.4, typer 0.29.2, rich 15.0.0",
            ),
            Check("packaged files", "ok", "config, models, kernels in /home/someone/project"),
        ],
    ),
    *in_group(
        "machine",
        [
            Check("memory", "ok", "22.4 GiB free, 8 processors"),
            Check("cache", "ok", "/home/someone/.cache/gpu_infer: 58.2 GiB free"),
            Check("kernels", "ok", "not compiled yet: the first run compiles those that it needs, once (about 10 s)"),
            Check("shared memory", "ok", "/dev/shm: 24106 of 24106 MiB free"),
            Check("gpu", "ok", "none (no nvidia-smi on this host): runs use the CPU"),
        ],
    ),
    *in_group(
        "run",
        [
            Check("config", "ok", "/home/someone/project/config/config_inference.json: valid"),
            Check("input", "ok", "scan.nii.gz: nifti, 512×512×300 voxels of 0.7031×0.7031×1 mm, int16"),
            Check("output", "ok", "out (will be created): 55.0 GiB free"),
        ],
    ),
    *in_group(
        "server",
        [
            Check("local triton", "ok", "2.51 in /home/someone/.cache/gpu_infer/triton-2.51-py3.11"),
            Check("triton", "ok", "version 2.51.0 at 127.0.0.1:46093 over grpc"),
            Check("models", "ok", "1 on the server: segmentation_ct_lung_v1 1 READY"),
            Check(
                "model",
                "ok",
                "segmentation_ct_lung_v1 version 1: FP32 1×320×320×64 → 2×320×320×64, batch up to 2",
            ),
            Check("shared /dev/shm", "ok", "the server maps memory of this process"),
            Check("data transport", "ok", "system_shm on the cpu"),
            Check("plan", "ok", "12 windows over 360×360×300, peak 2.1 GiB of 20.6 GiB free"),
            Check("leftovers", "ok", "none"),
        ],
    ),
]
"""A run with a local server, a volume and an output folder, without a fault: every check that such a run has."""


def screen(
    monkeypatch: pytest.MonkeyPatch, checks: Sequence[Check], not_named: Sequence[str] = (), width: int = 160
) -> list[str]:
    """The lines, without blanks at their ends."""
    stream = io.StringIO()
    terminal = Console(file=stream, width=width, highlight=False, markup=False, soft_wrap=True)
    monkeypatch.setattr(console, "stdout", lambda: terminal)
    doctor_screen.show(checks, not_named)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_one_screen_without_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, HEALTHY)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["install", "ok", "gpu_infer", *HEALTHY[0].found.split()]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        *("install", "machine", "run", "server"),
        "no",
    ]
    assert lines[-1] == "no failure found"


def test_folders_that_are_not_given_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, HEALTHY, ["--input", "--output"])
    assert "not checked, because not given: --input, --output" in lines


def test_faults_are_last_with_their_remedies_and_failures_first_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "no Triton server ready within 5 s: " + "reason " * 20
    checks = [
        Check("input", "warn", "in has 2 volumes", "name one", group="run"),
        Check("triton", "fail", long.strip(), "add --triton local", 4, group="server"),
        Check("leftovers", "ok", "none", group="server"),
    ]
    lines = screen(monkeypatch, checks)
    assert lines[:4] == [
        "run     warn  input      see below",
        "server  fail  triton     see below",
        "        ok    leftovers  none",
        "",
    ]
    assert lines[4].startswith("fail  triton: no Triton server ready within 5 s: reason ")
    assert lines[5].startswith("      reason ")
    assert lines[-3:] == ["      → add --triton local", "warn  input: in has 2 volumes", "      → name one"]
    assert "no failure found" not in lines


def test_a_narrow_terminal_folds_long_words(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/" + "a" * 200
    lines = screen(monkeypatch, [Check("cache", "ok", path, group="machine")], width=60)
    assert max(map(len, lines)) <= 60
    assert "".join(line.split()[-1] for line in lines[:-1]) == path


def test_a_terminal_gets_the_screen_and_a_short_last_line() -> None:
    """stdout and stderr are one terminal of 100 columns, as for a person; the remedy is shown once."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    command = [sys.executable, "-m", "gpu_infer", "doctor", "--triton", "127.0.0.1:9", "--wait", "0.1"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment | {"TERM": "dumb"})
    os.close(theirs)
    output = b""
    with suppress(OSError):  # the end of a terminal is EIO
        while chunk := os.read(ours, 65536):
            output += chunk
    os.close(ours)
    assert process.wait(60) == 4
    lines = [line.rstrip() for line in output.decode().splitlines()]
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("install  ok    gpu_infer")
    assert lines[-1].startswith("gpu-infer: error: doctor: 1 of ")
    assert lines[-1].endswith(" checks failed, the first: triton")
    assert output.decode().count("--triton local needs no") == 1
