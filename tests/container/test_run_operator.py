"""deploy/run_operator.sh with stand-ins for docker, podman and gpu-infer: order, failures and usage."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from operator_helpers import config, write_config, write_nifti
from run_operator_place import (
    ENDS_WITHIN_S,
    ROOT,
    SCRIPT,
    WHOLE,
    Calls,
    Health,
    Place,
    needs_curl,
    started,
    steps,
    values,
)

WITHOUT_OPERATOR = [step for step in WHOLE if step != "run --rm"]


# -- order ----------------------------------------------------------------------------------------------------------
@needs_curl
def test_the_operator_runs_after_triton_is_ready_and_everything_is_removed(place: Place, health: Health) -> None:
    health.refusals = 2
    code, _, err = place.run()
    assert code == 0, err
    assert health.paths == ["/v2/health/ready"] * 3
    calls = place.calls()
    assert steps(calls) == WHOLE
    network = calls[0][-1]
    triton, operator = started(calls)
    assert values(triton, "--network") == values(operator, "--network") == [network]
    assert [call[-1] for call in calls if call[1] == "stop"] == values(triton, "--name")
    assert calls[-2] == ["docker", "network", "rm", network]


@needs_curl
def test_the_exit_code_is_the_operators(place: Place) -> None:
    code, _, _ = place.run(STAND_IN_CODE="3")
    assert code == 3
    assert steps(place.calls()) == WHOLE


@needs_curl
def test_a_dry_run_prints_the_commands_that_a_run_executes(place: Place) -> None:
    code, out, err = place.run("--dry-run")
    assert (code, err) == (0, "")
    assert place.calls() == []
    assert sorted(path.name for path in place.root.iterdir()) == ["bin", "input", "models"]
    place.run()

    def comparable(commands: Calls) -> Calls:
        own_number = re.compile(r"^(gpu_infer-(?:\w+-)?)\d+$")
        return [[own_number.sub(r"\1N", word) for word in command] for command in commands]

    printed = [shlex.split(line) for line in out.splitlines()]
    (curl,) = [command for command in printed if command[0] == "curl"]
    assert curl[-1].endswith("/v2/health/ready")
    printed.remove(curl)
    executed = [call for call in place.calls() if call[1:3] != ["network", "inspect"]]
    assert comparable(printed) == comparable(executed)


# -- failures -------------------------------------------------------------------------------------------------------
@needs_curl
def test_triton_that_ends_is_noticed_at_once(place: Place, health: Health) -> None:
    health.refusals = 1_000_000
    code, _, err = place.run(STAND_IN_RUNNING="false")
    assert code == 4
    assert "the log of Triton" in err
    assert "error: Triton has ended" in err
    assert steps(place.calls()) == WITHOUT_OPERATOR


@needs_curl
def test_triton_that_is_not_ready_in_time(place: Place, health: Health) -> None:
    health.refusals = 1_000_000
    code, _, err = place.run("--wait", "0")
    assert code == 4
    assert "error: Triton was not ready after 0 s" in err
    assert steps(place.calls()) == WITHOUT_OPERATOR


@pytest.mark.parametrize("step", ["network create", "run --detach"])
def test_a_step_of_the_engine_that_fails(place: Place, step: str) -> None:
    code, _, err = place.run(STAND_IN_FAILS=step)
    assert code == 125
    assert f"docker: {step} failed" in err
    done = steps(place.calls())
    assert done == [*WHOLE[: WHOLE.index(step) + 1], "stop", "rm", "network rm"]


@needs_curl
def test_a_network_that_stays_is_a_warning(place: Place) -> None:
    code, _, err = place.run(STAND_IN_FAILS="network rm", STAND_IN_NETWORK_STAYS="yes")
    assert code == 0
    assert re.search(r"warning: network (gpu_infer-\d+) was not removed \(docker network rm \1\)", err)


@needs_curl
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [False, True], ids=["script", "terminal"])
def test_a_signal_reaches_the_operator_once(place: Place, number: signal.Signals, whole_group: bool) -> None:
    """At Ctrl-C a terminal signals the whole foreground group. A second signal would kill the operator at once."""
    with place.start(STAND_IN_SLEEPS="yes") as process:
        place.wait_for(lambda: ["operator", "waits"] in place.calls())
        (os.killpg if whole_group else os.kill)(process.pid, number)
        process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 130
    assert ["operator", number.name] in place.calls()
    assert steps(place.calls()) == WHOLE


@needs_curl
def test_a_signal_before_triton_is_ready(place: Place, health: Health) -> None:
    health.refusals = 1_000_000
    with place.start() as process:
        place.wait_for(lambda: len(health.paths) > 1)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 130
    assert steps(place.calls()) == WITHOUT_OPERATOR


@pytest.mark.parametrize(
    ("options", "environ", "message"),
    [
        (["--sideways"], {}, "unknown argument --sideways (see --help)"),
        (["--input"], {}, "--input has no value (see --help)"),
        (["--input", "nowhere"], {}, "--input nowhere: no such folder (create it, or give another one with --input)"),
        (["--output", "bin/docker"], {}, "--output bin/docker: cannot be created (give another folder with --output)"),
        (["--config", "input"], {}, "no config_inference.json in this folder (add it)"),
        (["--wait", "soon"], {}, "--wait soon: expected a whole number of seconds"),
        (["--cpu", "--gpu", "1"], {}, "--cpu and --gpu exclude each other (leave one out)"),
        (["--local", "--image", "a"], {}, "--local starts no containers: leave out --image, --triton-image and --user"),
        ([], {"TRITON_IMAGE": ""}, "no Triton image"),
        ([], {"CONTAINER_ENGINE": "lxc"}, "CONTAINER_ENGINE=lxc: expected docker or podman"),
        ([], {"CONTAINER_ENGINE": "podman"}, "podman not found (install it, or use --local)"),
        (["--local"], {}, "gpu-infer is not installed"),
    ],
)
def test_wrong_usage_starts_nothing(place: Place, options: list[str], environ: dict[str, str], message: str) -> None:
    code, out, err = place.run(*options, **environ)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("run_operator: error: ")
    assert out == ""
    assert place.calls() == []


def test_a_path_with_a_colon_is_refused(place: Place) -> None:
    (place.root / "a:b").mkdir()
    code, _, err = place.run("--input", "a:b")
    assert code == 2
    assert "docker cannot mount a path with a colon (rename the folder)" in err


# -- without containers ---------------------------------------------------------------------------------------------
def test_local(place: Place) -> None:
    place.install("gpu-infer")
    write_config(place.root / "config", config("threshold_half"))
    code, _, err = place.run("--local", "--cpu", "--config", "config", "--wait", "30", STAND_IN_CODE="3")
    assert code == 3, err
    root = place.root
    words = f"gpu-infer run --triton local --models {root}/models --input {root}/input --first --output {root}/output"
    words += f" --logs {root}/logs --publish {root}/publish --wait 30 --config {root}/config/config_inference.json"
    assert place.calls() == [[*words.split(), "--device", "cpu"]]


def test_the_file_of_a_configuration_means_its_folder(place: Place) -> None:
    place.install("gpu-infer")
    path = write_config(place.root / "config", config("threshold_half"))
    code, _, err = place.run("--local", "--config", str(path))
    assert code == 0, err
    (call,) = place.calls()
    assert call[call.index("--config") + 1] == f"{place.root}/config/config_inference.json"


def test_a_local_dry_run_prints_its_command(place: Place) -> None:
    code, out, _ = place.run("--local", "--gpu", "1", "--dry-run")
    assert code == 0
    assert shlex.split(out)[:5] == ["env", "CUDA_VISIBLE_DEVICES=1", "gpu-infer", "run", "--triton"]
    assert place.calls() == []


@pytest.mark.slow
def test_local_with_the_real_operator_and_triton(place: Place) -> None:
    """threshold_half labels voxels above 0.5."""
    root = place.root
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests/models/threshold_half", root / "models/threshold_half", ignore=skipped)
    write_config(root / "config", config("threshold_half", roi_size=[16, 16, 16]))
    volume = np.random.default_rng(7).random((20, 18, 16), dtype=np.float32)
    write_nifti(root / "input" / "scan.nii", volume, np.diag([-1.0, -1.0, 1.0, 1.0]))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {name: os.environ[name] for name in ("HOME", "GPU_INFER_CACHE") if name in os.environ}
    code, _, err = place.run("--local", "--cpu", "--config", "config", PATH=path, **environ)
    assert code == 0, err
    labels = np.fromfile(root / "output" / "scan.raw", np.uint8).reshape(volume.shape, order="F")
    assert np.array_equal(labels, volume > 0.5)
    assert (root / "logs" / "report.json").is_file()
    assert (root / "publish" / "config.meta").is_file()


# -- the script itself ----------------------------------------------------------------------------------------------
def test_help_lists_every_option(place: Place) -> None:
    code, out, _ = place.run("--help")
    assert code == 0
    accepted = set(re.findall(r"^ {8}.*?(--[a-z-]+)\)", SCRIPT.read_text(), re.MULTILINE))
    assert {"--image", "--wait", "--dry-run", "--help"} <= accepted
    assert accepted <= set(re.findall(r"--[a-z-]+", out))


def test_shellcheck() -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("shellcheck (extra `lint`) is not installed")
    done = subprocess.run([program, str(SCRIPT)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout
