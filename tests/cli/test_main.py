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
from operator_helpers import write_nifti
from typer.testing import CliRunner

from gpu_infer import __version__, logs
from gpu_infer.cli import main as entry
from gpu_infer.errors import ConfigError, DeadlineError, InputError, Interrupted, ModelError, ResourceError, ServerError

COMMANDS = ("run", "demo", "validate", "triton", "doctor", "version")


def _gpu_infer(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m gpu_infer` with these arguments and no environment but this."""
    return subprocess.run(
        [sys.executable, "-m", "gpu_infer", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(entry.app, ["--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize(
    "command",
    [["run"], ["demo"], ["validate"], ["triton", "install"], ["triton", "serve"], ["doctor"]],
    ids=" ".join,
)
def test_every_command_has_help(command: list[str]) -> None:
    result = CliRunner().invoke(entry.app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_run_help_lists_its_options() -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(entry.app, ["run", "--help"])
    files = "--input --output --publish --preview --plain-preview --logs --config --labels"
    server = "--triton --models --control --data --require --wait --deadline"
    windows = "--device --mode --model --batch-size --slots --slab --no-slab --roi"
    options = f"{files} {server} {windows} --json --debug"
    assert not [option for option in options.split() if option not in result.output]
    assert "NVIDIA_CLARA_INPUT" in result.output


def test_version() -> None:
    result = CliRunner().invoke(entry.app, ["version"])
    assert (result.exit_code, result.output) == (0, f"gpu-infer {__version__}\n")


def test_version_is_an_option_too() -> None:
    done = _gpu_infer("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"gpu-infer {__version__}\n", "")


def test_a_shell_completes_commands_and_options() -> None:
    words = {"COMP_WORDS": "gpu-infer run --outp", "COMP_CWORD": "2", "_GPU_INFER_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from gpu_infer.cli.main import main; sys.exit(main())"],
        env={"PATH": "/usr/bin:/bin", **words},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["--output"], "")


def test_a_run_writes_into_the_output_folder_alone(tmp_path: Path) -> None:
    done = _gpu_infer("run", "-i", str(tmp_path / "none.nii"), "-o", str(tmp_path / "out"))
    assert done.returncode == 3
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "out",
        "out/gpu_infer.log",
        "out/report.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--rois", "8"], ["gpu-infer run: No such option: --rois", "--roi", "gpu-infer run --help"]),
        (["run", "--data", "pigeon"], ["--data", "pigeon", "system_shm"]),
        (["run", "--slots", "two"], ["--slots", "found 'two', expected a whole number"]),
        (["run", "--wait", "soon"], ["--wait", "found 'soon', expected a number of seconds"]),
        (["run", "scan.nii.gz", "out"], ["(scan.nii.gz out)", "options: gpu-infer run -i scan.nii.gz -o out; "]),
        (["triton", "serve", "models"], ["(models)", "gpu-infer triton serve --models my_models"]),
        (
            ["triton", "serve", "--http-port", "8000", "--grpc-port", "8000"],
            ["--http-port and --grpc-port: found 8000 for both, expected two ports"],
        ),
        (["serve"], ["gpu-infer: No such command 'serve' (did you mean gpu-infer triton serve? gpu-infer --help"]),
        (["run", "--triton"], ["gpu-infer run: Option '--triton' requires an argument (gpu-infer run --help"]),
        (["run", "--triton", "", "-i", "a", "-o", "b"], ["--triton: found an empty address, expected HOST:PORT or"]),
        (["run", "--device", "cuda"], ["--device': 'cuda' is not one of"]),
        *(
            ([*words.split(), *words.split()[-2:]], [words.split()[-2], "found more than once, expected at most once"])
            for words in (
                "run -i a.nii.gz",
                "demo -o out",
                "validate c.json -i a.nii.gz",
                "doctor --wait 1",
                "triton serve --models m",
                "triton install --cache c",
            )
        ),
        (["run", "--page", "--no-page"], ["--page, --no-page: found more than once"]),
        (["run", "-v", "-v", "--format", "nii", "--format", "mhd"], ["found no volume to read"]),
        (["no-such-command"], ["no-such-command", "gpu-infer --help"]),
        (["validate"], ["CONFIG"]),
        (["triton", "serve", "--http-port", "70000"], ["gpu-infer triton serve", "--http-port", "65535"]),
        (["triton", "serve", "--grpc-port", "-1"], ["--grpc-port", "found '-1', expected a port from 0 to 65535"]),
        (["run", "-i", "none.nii", "-o", "none/out.hdr"], ["none/out.hdr", "expected a folder or a label map"]),
        (["run", "-i", "none.nii", "-o", "none/x.nii", "--format", "mhd"], ["none/x.nii", "expected --format's mhd"]),
        (
            ["run", "-i", "none.nii", "--format", "dcm"],
            ["--format: found 'dcm'", "mhd, mha, nii.gz, nii, nrrd, seg.nrrd"],
        ),
        *(
            ([*command.split(), option, ""], [option, "empty", f"gpu-infer {command.split()[0]}"])
            for command, option in (
                ("run", "--input"),
                ("run", "--output"),
                ("run", "--logs"),
                ("run", "--config"),
                ("run", "--models"),
                ("demo", "--input"),
                ("demo", "--output"),
                ("validate x.json", "--input"),
                ("triton install", "--cache"),
                ("triton serve", "--models"),
                ("doctor", "--output"),
            )
        ),
        (["validate", " "], ["CONFIG", "empty"]),
    ],
)
def test_usage_errors_are_one_line_and_end_with_2(arguments: list[str], words: list[str]) -> None:
    done = _gpu_infer(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("gpu-infer: error: ")
    assert done.stderr.count("\n") == 1
    assert not [word for word in words if word not in done.stderr], done.stderr


@pytest.mark.parametrize("arguments", [[], ["triton"]])
def test_without_a_command_there_is_help_and_a_line(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from gpu_infer.cli.main import main; sys.exit(main())", *arguments],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.count("Usage") == 1
    name = " ".join(["gpu-infer", *arguments])
    assert done.stderr == f"gpu-infer: error: {name}: no command given ({name} --help lists the commands)\n"


def test_help_is_no_error() -> None:
    done = _gpu_infer("-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


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
        raise error("x.json: found\n2, expected 3", remedy="mend it")

    assert entry.guarded(body) == code
    assert capsys.readouterr().err == "gpu-infer: error: x.json: found\\n2, expected 3 (mend it)\n"


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
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "cleaning\n"
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_demo_looks_for_the_input_before_it_installs_a_server(tmp_path: Path) -> None:
    demo = ["demo", "--input", str(tmp_path / "none.nii"), "--output", str(tmp_path / "out")]
    done = _gpu_infer(*demo, GPU_INFER_CACHE="/proc/none")
    assert done.returncode == 3
    assert done.stderr.startswith(f"gpu-infer: error: {tmp_path}/none.nii: no such file")


def test_demo_without_its_extra_says_so_before_it_installs_a_server(tmp_path: Path) -> None:
    code = "import sys; sys.modules['unearth'] = None; from gpu_infer.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--output", str(tmp_path / "out")],
        env={"PATH": "/usr/bin:/bin", "GPU_INFER_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gpu-infer: error: demo CT: ")
    assert 'pip install "gpu-infer[demo]"' in done.stderr
    assert not list((tmp_path / "cache").glob("triton*"))


def test_container_main_with_a_bad_environment() -> None:
    done = _gpu_infer(NVIDIA_CLARA_TRTISURI="http://triton:8000")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("gpu-infer: error: NVIDIA_CLARA_TRTISURI: ")
    assert done.stderr.count("\n") == 1


def test_container_main_with_a_bad_logging_file(tmp_path: Path) -> None:
    (tmp_path / "logging_config.json").write_text("{")
    done = _gpu_infer(
        NVIDIA_CLARA_LOGS=str(tmp_path / "logs"), NVIDIA_CLARA_CONFIG_INFERENCE=str(tmp_path / "config.json")
    )
    assert done.returncode == 2
    assert f"gpu-infer: error: {tmp_path}/logging_config.json: not valid JSON" in done.stderr


def test_container_main_with_a_missing_config(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    done = _gpu_infer(
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
        text=True,
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
