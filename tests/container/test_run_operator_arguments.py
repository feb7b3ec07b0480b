"""Arguments and variables that deploy/run_operator.sh gives to the containers."""

from __future__ import annotations

import os
import re

import pytest
from run_operator_place import ROOT, WHOLE, Place, needs_curl, started, steps, values


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
