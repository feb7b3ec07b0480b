"""deploy/run_operator.sh with stand-ins for docker, podman and gpu-infer, and a real curl on a small HTTP server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from operator_helpers import config, write_config, write_nifti
from run_operator_place import ENDS_WITHIN_S, SCRIPT, SYSTEM_PATH, Calls, Health, Place, started, steps, values

ROOT = Path(__file__).resolve().parents[2]

needs_curl = pytest.mark.skipif(shutil.which("curl", path=SYSTEM_PATH) is None, reason="curl is not installed")


@pytest.fixture
def health() -> Iterator[Health]:
    with Health() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path, health: Health) -> Place:
    folder = Place(tmp_path, health.server_port)
    folder.install("docker")
    return folder


WHOLE = ["network create", "run --detach", "run --rm", "stop", "rm", "network rm"]
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


# -- arguments ------------------------------------------------------------------------------------------------------
@needs_curl
def test_folders_are_made_by_the_caller_and_mounted(place: Place) -> None:
    assert place.run()[0] == 0
    triton, operator = started(place.calls())
    root = place.root
    assert values(triton, "--volume") == [f"{root}/models:/models:ro"]
    assert values(operator, "--volume") == [
        f"{root}/input:/input:ro",
        f"{root}/output:/output",
        f"{root}/logs:/logs",
        f"{root}/publish:/publish",
    ]
    for name in ("output", "logs", "publish"):
        assert (root / name).stat().st_uid == os.getuid()
    assert values(operator, "--user") == [f"{os.getuid()}:{os.getgid()}"]
    assert operator[-1] == "gpu_infer"


@needs_curl
def test_variables_of_the_operator(place: Place) -> None:
    assert place.run()[0] == 0
    triton, operator = started(place.calls())
    variables = dict(value.split("=", 1) for value in values(operator, "--env"))
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", (ROOT / "docs" / "environment.md").read_text()))
    assert variables.keys() <= documented
    for variable, folder in (("INPUT", "/input"), ("OUTPUT", "/output"), ("LOGS", "/logs"), ("PUBLISHING", "/publish")):
        assert variables[f"NVIDIA_CLARA_{variable}"] == folder
    assert variables["NVIDIA_CLARA_TRTISURI"] == f"{values(triton, '--network-alias')[0]}:8001"


@needs_curl
def test_a_debugger_can_connect_from_this_machine_alone(place: Place) -> None:
    assert place.run(DEBUG_VSCODE="true", DEBUG_VSCODE_PORT="9000")[0] == 0
    _, operator = started(place.calls())
    variables = dict(value.split("=", 1) for value in values(operator, "--env"))
    assert {name: value for name, value in variables.items() if name.startswith("DEBUG")} == {
        "DEBUG_VSCODE": "TRUE",
        "DEBUG_VSCODE_PORT": "9000",
        "DEBUG_VSCODE_HOST": "0.0.0.0",
    }
    assert values(operator, "--publish") == ["127.0.0.1:9000:9000"]


@needs_curl
def test_the_address_for_a_debugger(place: Place) -> None:
    assert place.run(DEBUG_VSCODE="1", DEBUG_VSCODE_HOST="10.0.0.7")[0] == 0
    _, operator = started(place.calls())
    assert values(operator, "--publish") == ["10.0.0.7:5678:5678"]


@needs_curl
@pytest.mark.parametrize("word", ["", "0", "FALSE", "off"])
def test_no_debugger(place: Place, word: str) -> None:
    assert place.run(DEBUG_VSCODE=word, DEBUG_VSCODE_PORT="9000")[0] == 0
    _, operator = started(place.calls())
    assert not [value for value in values(operator, "--env") if value.startswith("DEBUG")]
    assert values(operator, "--publish") == []


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"DEBUG_VSCODE": "maybe"}, "DEBUG_VSCODE=maybe: expected TRUE, 1, FALSE or 0"),
        ({"DEBUG_VSCODE": "1", "DEBUG_VSCODE_PORT": "web"}, "DEBUG_VSCODE_PORT=web: expected a port number"),
    ],
)
def test_variables_of_the_debugger_that_cannot_be_meant(place: Place, environ: dict[str, str], message: str) -> None:
    code, _, err = place.run(**environ)
    assert code == 2
    assert message in err
    assert place.calls() == []


@needs_curl
def test_other_variables_of_the_caller_are_passed_on_by_name(place: Place) -> None:
    environ = {"NVIDIA_CLARA_JOBID": "7", "NVIDIA_CLARA_SITE": "two words", "NVIDIA_TRITON_HTTPURI": "a:1"}
    code, _, err = place.run(**environ, NVIDIA_CLARA_INPUT="/data", NVIDIA_CLARA_NOSYNCLOCK="FALSE")
    assert code == 0
    _, operator = started(place.calls())
    variables = values(operator, "--env")
    assert [value for value in variables if "=" not in value] == ["NVIDIA_CLARA_JOBID", "NVIDIA_CLARA_SITE"]
    assert "NVIDIA_CLARA_INPUT=/input" in variables
    assert "warning: NVIDIA_CLARA_INPUT of the environment is not used" in err
    assert "NVIDIA_TRITON_HTTPURI" not in str(variables)


@needs_curl
def test_an_empty_publishing_variable_publishes_nothing(place: Place) -> None:
    assert place.run(NVIDIA_CLARA_PUBLISHING="")[0] == 0
    _, operator = started(place.calls())
    assert "NVIDIA_CLARA_PUBLISHING=" in values(operator, "--env")
    assert not [value for value in values(operator, "--volume") if value.endswith(":/publish")]
    assert not (place.root / "publish").exists()


@needs_curl
def test_the_option_for_publishing_wins_over_its_variable(place: Place) -> None:
    assert place.run("--publish", "here", NVIDIA_CLARA_PUBLISHING="")[0] == 0
    _, operator = started(place.calls())
    assert f"{place.root}/here:/publish" in values(operator, "--volume")
    assert "NVIDIA_CLARA_PUBLISHING=/publish" in values(operator, "--env")


@needs_curl
def test_options_and_a_folder_with_a_blank(place: Place) -> None:
    for name in ("in put", "my models", "my config"):
        (place.root / name).mkdir()
    (place.root / "my config" / "config_inference.json").write_text("{}")
    options = ["--input", "in put", "--models", "my models", "--config", "my config", "--image", "my_app", "--gpu", "3"]
    assert place.run(*options, "--user", "5:6", "--triton-image", "t:1")[0] == 0
    triton, operator = started(place.calls())
    assert f"{place.root}/in put:/input:ro" in values(operator, "--volume")
    assert f"{place.root}/my config:/config:ro" in values(operator, "--volume")
    assert "NVIDIA_CLARA_CONFIG_INFERENCE=/config/config_inference.json" in values(operator, "--env")
    assert values(triton, "--volume") == [f"{place.root}/my models:/models:ro"]
    assert values(operator, "--user") == ["5:6"]
    assert values(triton, "--gpus") == values(operator, "--gpus") == ["device=3"]
    assert operator[-1] == "my_app"
    assert triton[triton.index("t:1") + 1 :][:2] == ["tritonserver", "--model-repository=/models"]


@needs_curl
def test_both_containers_share_what_shared_memory_needs(place: Place) -> None:
    assert place.run()[0] == 0
    for call in started(place.calls()):
        assert values(call, "--ipc") == values(call, "--pid") == ["host"]
        assert values(call, "--gpus") == ["device=0"]


@needs_curl
def test_without_a_gpu(place: Place) -> None:
    assert place.run("--cpu")[0] == 0
    triton, operator = started(place.calls())
    assert "--gpus" not in triton + operator
    assert values(triton, "--ipc") == values(operator, "--ipc") == ["host"]
    assert operator[-1] == "gpu_infer:cpu"
    (name,) = [word.partition("=")[2] for word in triton if word.startswith("--model-config-name")]
    assert (ROOT / "models" / "segmentation_ct_lung_v1" / "configs" / f"{name}.pbtxt").is_file()


@needs_curl
def test_arguments_of_triton(place: Place) -> None:
    assert place.run(TRITON_ARGS="--log-verbose=1 --strict-readiness=false")[0] == 0
    triton, _ = started(place.calls())
    assert triton[-3:] == ["--model-repository=/models", "--log-verbose=1", "--strict-readiness=false"]


@needs_curl
@pytest.mark.parametrize("installed", [["docker", "podman"], ["podman"]])
def test_podman(place: Place, installed: list[str]) -> None:
    """By name, or if there is no docker. Its words for a GPU and for the caller's uid differ."""
    (place.root / "bin" / "docker").unlink()
    place.install(*installed)
    environ = {"CONTAINER_ENGINE": "podman"} if "docker" in installed else {}
    code, _, err = place.run(**environ)
    assert code == 0, err
    calls = place.calls()
    assert {call[0] for call in calls} == {"podman"}
    assert steps(calls) == WHOLE
    triton, operator = started(calls)
    assert values(triton, "--device") == values(operator, "--device") == ["nvidia.com/gpu=0"]
    assert "--gpus" not in triton + operator
    assert values(operator, "--userns") == ([] if os.getuid() == 0 else ["keep-id"])


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
    done = subprocess.run([program, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
