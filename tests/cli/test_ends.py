"""Exit codes and the one line on stderr, for each way a command can end."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import run_gpu_infer
from operator_helpers import write_nifti

from gpu_infer import logs
from gpu_infer.cli import main as entry
from gpu_infer.errors import ConfigError, DeadlineError, InputError, Interrupted, ModelError, ResourceError, ServerError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, 2),
        (InputError, 3),
        (ServerError, 4),
        (ModelError, 4),
        (DeadlineError, 4),
        (ResourceError, 5),
        (Interrupted, 130),
    ],
)
def test_each_error_is_one_line_and_its_code(
    error: type[ConfigError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        raise error("x.json: found\n2, expected 3", remedy="fix it")

    assert entry.guarded(body) == code
    assert capsys.readouterr().err == "gpu-infer: error: x.json: found\\n2, expected 3 (fix it)\n"


@pytest.mark.parametrize("log_file", [False, True])
def test_unexpected_errors_are_one_line_too(
    log_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = [logging.FileHandler(tmp_path / "log", delay=True)] if log_file else []
    monkeypatch.setattr(logs, "_file_handlers", lambda: handlers)

    def body() -> None:
        raise ZeroDivisionError("division by zero")

    assert entry.guarded(body) == 1
    message = capsys.readouterr().err
    assert message.startswith("gpu-infer: error: unexpected ZeroDivisionError: division by zero (--debug")
    assert ("log file" in message) == log_file
    for handler in handlers:
        handler.close()
    assert message.count("\n") == 1


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert entry.guarded(lambda: None) == 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cleans_up_and_ends_with_130(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    cleaned = []

    def body() -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append(True)

    assert entry.guarded(body) == 130
    assert cleaned
    assert f"interrupted by {number.name}" in capsys.readouterr().err


def test_a_swallowed_interrupt_still_ends_with_130() -> None:
    def body() -> None:
        with contextlib.suppress(Interrupted):
            signal.raise_signal(signal.SIGTERM)

    assert entry.guarded(body) == 130


def test_a_second_signal_kills_at_once() -> None:
    code = """
import signal, sys, time
from gpu_infer.cli.main import guarded
def body():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(60)
sys.exit(guarded(body))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "cleaning\n"
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_demo_looks_for_the_input_before_it_installs_a_server(tmp_path: Path) -> None:
    demo = ["demo", "--input", str(tmp_path / "none.nii"), "--output", str(tmp_path / "out")]
    done = run_gpu_infer(*demo, GPU_INFER_CACHE="/proc/none")
    assert done.returncode == 3
    assert done.stderr.startswith(f"gpu-infer: error: {tmp_path}/none.nii: no such file")


def test_demo_without_its_extra_says_so_before_it_installs_a_server(tmp_path: Path) -> None:
    code = "import sys; sys.modules['unearth'] = None; from gpu_infer.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--output", str(tmp_path / "out")],
        env={"PATH": "/usr/bin:/bin", "GPU_INFER_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gpu-infer: error: demo CT: ")
    assert 'pip install "gpu-infer[demo]"' in done.stderr
    assert not list((tmp_path / "cache").glob("triton*"))


def test_container_main_with_a_bad_environment() -> None:
    done = run_gpu_infer(NVIDIA_CLARA_TRTISURI="http://triton:8000")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("gpu-infer: error: NVIDIA_CLARA_TRTISURI: ")
    assert done.stderr.count("\n") == 1


def test_container_main_with_a_bad_logging_file(tmp_path: Path) -> None:
    (tmp_path / "logging_config.json").write_text("{")
    done = run_gpu_infer(
        NVIDIA_CLARA_LOGS=str(tmp_path / "logs"), NVIDIA_CLARA_CONFIG_INFERENCE=str(tmp_path / "config.json")
    )
    assert done.returncode == 2
    assert f"gpu-infer: error: {tmp_path}/logging_config.json: not valid JSON" in done.stderr


def test_container_main_with_a_missing_config(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    done = run_gpu_infer(
        NVIDIA_CLARA_INPUT=str(tmp_path),
        NVIDIA_CLARA_OUTPUT=str(tmp_path / "output"),
        NVIDIA_CLARA_LOGS=str(tmp_path / "logs"),
        NVIDIA_CLARA_PUBLISHING="",
        NVIDIA_CLARA_CONFIG_INFERENCE=str(config),
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gpu-infer: error: ")
    assert str(config) in last
    assert "Traceback" not in done.stderr
    assert last.removeprefix("gpu-infer: error: ") in (tmp_path / "logs" / "gpu_infer.log").read_text()


def test_sigterm_while_waiting_for_the_server(tmp_path: Path) -> None:
    """No server listens: the run waits, is told to stop, says so and leaves no output."""
    (tmp_path / "input").mkdir()
    write_nifti(tmp_path / "input" / "case.nii", np.zeros((4, 4, 4), np.int16), np.eye(4))
    command = ["run", "--input", "input", "--output", "output", "--logs", "logs", "--wait", "60"]
    with subprocess.Popen(
        [sys.executable, "-m", "gpu_infer", *command, "--triton", "127.0.0.1:9"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        report = tmp_path / "logs" / "gpu_infer.log"
        until = time.monotonic() + 60
        # The log file is made once the handlers are in place; connecting is the first thing that takes time.
        while not report.exists() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        time.sleep(2)
        process.terminate()
        _, message = process.communicate(timeout=30)
    assert process.returncode == 130, message
    assert "gpu-infer: error: interrupted by SIGTERM" in message
    assert not list(tmp_path.glob("output/*"))
