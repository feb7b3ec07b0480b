"""Help, versions and usage errors of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_gpu_infer
from typer.testing import CliRunner

from gpu_infer import __version__
from gpu_infer.cli import main as entry

COMMANDS = ("run", "demo", "validate", "triton", "doctor", "version")


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
    done = run_gpu_infer("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"gpu-infer {__version__}\n", "")


def test_a_shell_completes_commands_and_options() -> None:
    words = {"COMP_WORDS": "gpu-infer run --outp", "COMP_CWORD": "2", "_GPU_INFER_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from gpu_infer.cli.main import main; sys.exit(main())"],
        env={"PATH": "/usr/bin:/bin", **words},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["--output"], "")


def test_a_run_writes_into_the_output_folder_alone(tmp_path: Path) -> None:
    done = run_gpu_infer("run", "-i", str(tmp_path / "none.nii"), "-o", str(tmp_path / "out"))
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
    done = run_gpu_infer(*arguments)
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
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.count("Usage") == 1
    name = " ".join(["gpu-infer", *arguments])
    assert done.stderr == f"gpu-infer: error: {name}: no command given ({name} --help lists the commands)\n"


def test_help_is_no_error() -> None:
    done = run_gpu_infer("-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout
