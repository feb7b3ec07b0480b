"""Standard streams that are closed, full, broken pipes or poor in characters: the exit code tells of the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import os, sys, types
from pathlib import Path
from gpu_infer.app import RunResult
from gpu_infer.cli import execute, main, run
from gpu_infer.settings import Settings

def finished(settings, **_):
    from gpu_infer import logs
    logs.configure(settings.logs)
    import logging
    logging.getLogger("gpu_infer.x").info("lines on stderr \\u00fc")
    name = settings.output / "k\\u00fchn.mhd"
    name.write_text("labels")
    data = {"mhd": str(name), "long": "x" * 200000}
    return RunResult(output=name, raw=name, report=None, data=data, label_maps=[name])

execute.execute = finished
sys.argv = ["gpu-infer", *sys.argv[1:]]
sys.exit(main.main())
"""


def command(tmp_path: Path, shell: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`shell` with $RUN for a run that writes a label map and the lines that follow it."""
    script = tmp_path / "run.py"
    script.write_text(RUN)
    (tmp_path / "out").mkdir()
    arguments = f"--output {tmp_path}/out --logs {tmp_path}/logs --input {tmp_path}"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RUN": f"{sys.executable} {script} run {arguments}"}
    return subprocess.run(
        ["bash", "-c", shell],
        env={**env, **environ},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ""])
@pytest.mark.parametrize("json", ["", "--json"])
def test_a_run_that_is_complete_ends_with_0(tmp_path: Path, redirection: str, json: str) -> None:
    done = command(tmp_path, f"$RUN {json} {redirection}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "kühn.mhd").read_text() == "labels"
    assert "Traceback" not in done.stderr
    if redirection == ">/dev/full":
        assert "stdout cannot be written: No space left on device (the files are complete)" in done.stderr


@pytest.mark.parametrize("pipe", ["$RUN --json | true", "$RUN --json 2>&1 >/dev/null | true", "$RUN | head -c 1"])
def test_a_reader_that_went_away(tmp_path: Path, pipe: str) -> None:
    done = command(tmp_path, f"{pipe}; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") <= 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "utf-8"])
def test_characters_that_an_encoding_lacks(tmp_path: Path, encoding: str) -> None:
    done = command(tmp_path, "$RUN", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert ("kühn.mhd" if encoding == "utf-8" else "k\\xfchn.mhd") in done.stdout


def gpu_infer(shell: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", shell],
        env={"PATH": os.environ["PATH"], "GPU_INFER": f"{sys.executable} -m gpu_infer"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_a_command_whose_answer_cannot_be_written_fails() -> None:
    done = gpu_infer("$GPU_INFER version >/dev/full")
    assert done.returncode == 5
    assert done.stderr.startswith("gpu-infer: error: stdout cannot be written: No space left on device (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", ">&- 2>&-"])
def test_an_error_that_nobody_can_read_has_its_code(closed: str) -> None:
    assert gpu_infer(f"$GPU_INFER validate /no/such.json {closed}").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("validate c.json", "c.json: no such file (give the path of a config_inference.json)"),
        (
            "run --input /none.nii --output out --logs logs",
            "the working folder was removed (change to a folder that exists)",
        ),
        ("demo --input /none.nii", "the working folder was removed (change to a folder that exists)"),
    ],
)
def test_a_removed_working_folder(tmp_path: Path, arguments: str, message: str) -> None:
    gone = tmp_path / "gone"
    packages = Path(__file__).parents[2]
    done = subprocess.run(
        ["bash", "-c", f"mkdir {gone}; cd {gone}; rmdir {gone}; {sys.executable} -m gpu_infer {arguments}"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(packages)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"gpu-infer: error: {message}\n"


@pytest.mark.parametrize("limit", [8, 12, 16, 24])
def test_few_descriptors_are_a_lack(limit: int) -> None:
    done = gpu_infer(f"ulimit -n {limit}; $GPU_INFER doctor --wait 0.2 --triton localhost:1")
    assert done.returncode in (4, 5)
    assert "Traceback" not in done.stderr


def test_code_that_exits_is_no_success(capfd: pytest.CaptureFixture[str]) -> None:
    from gpu_infer.cli.main import guarded

    assert guarded(lambda: sys.exit(0)) == 2
    assert "called sys.exit(0)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(24, "Too many open files", "/tmp/x"), "ulimit -n"),
        (OSError(28, "No space left on device", "/cache/x.nbc"), "free some space"),
        (ImportError("libx.so: cannot open shared object file: Too many open files"), "ulimit -n"),
        (MemoryError(), "give the run more memory"),
        (RuntimeError("can't start new thread"), "pids limit"),
    ],
)
def test_lacks_end_with_5(error: Exception, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    from gpu_infer.cli.main import guarded

    def body() -> None:
        raise ValueError("on top") from error

    assert guarded(body) == 5
    assert words in capfd.readouterr().err


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user, whose processes are counted")
@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run(['true'])",
        "multiprocessing.get_context('fork').Process(target=print).start()",
    ],
)
def test_a_process_that_cannot_be_started_is_a_lack(start: str) -> None:
    code = f"""
import multiprocessing.popen_fork, os, resource, subprocess
from gpu_infer import logs  # while its files can be read
from gpu_infer.cli import main

def body():
    {start}

resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
os.setuid(65534)
raise SystemExit(main.guarded(body))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 5, done.stderr
    (line,) = done.stderr.splitlines()
    assert "no process can be started" in line
    assert "pids limit" in line


def test_a_file_that_is_not_ready_is_no_lack() -> None:
    from gpu_infer.system.shortage import shortage

    def read() -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with pytest.raises(BlockingIOError) as caught:
        read()
    assert shortage(caught.value) is None
