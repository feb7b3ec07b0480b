"""Dockerfile, compose file and Kubernetes jobs: what can be checked without Docker."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dockerfile
import pytest
import yaml

from gpu_infer import __version__
from gpu_infer.backends.cpu.kernels.cache import KERNELS_VARIABLE
from gpu_infer.cli.container import container_settings, has_container_defaults
from gpu_infer.config.load import load_config
from gpu_infer.triton.model.repository import model_in_repository

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
DERIVED = [ROOT / "deploy" / "custom" / "Dockerfile", ROOT / "examples" / "my_custom_app" / "Dockerfile"]
COMPOSE = ROOT / "compose.yaml"
JOBS = [ROOT / "deploy" / "kubernetes" / name for name in ("job.yaml", "job-system-shm.yaml")]
ONNX_CONFIGS = sorted((ROOT / "models" / "segmentation_ct_lung_v1" / "configs").glob("*.pbtxt"))
TRITON_VARIABLES = ("NVIDIA_TRITON_GRPCURI", "NVIDIA_TRITON_HTTPURI", "NVIDIA_CLARA_TRTISURI")


def _last(variant: str) -> dockerfile.Stage:
    return dockerfile.stages(DOCKERFILE, {"VARIANT": variant})[-1]


def _instruction(stage: dockerfile.Stage, name: str) -> str:
    (actual,) = [item.text for item in stage.instructions if item.name == name]
    return actual


def _user(arguments: dict[str, str]) -> str:
    """Default user of the image."""
    stage = dockerfile.stages(DOCKERFILE, arguments)[-1]
    variables = dockerfile.Variables(DOCKERFILE, arguments, {})
    for item in stage.instructions:
        variables.take(item)
    return dockerfile.fill(_instruction(stage, "USER"), variables.visible)


def _documented() -> set[str]:
    """Variables of docs/environment.md."""
    return set(re.findall(r"`([A-Z][A-Z0-9_]+)`", (ROOT / "docs" / "environment.md").read_text()))


def _services(*files: Path) -> dict[str, Any]:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!reset", lambda _loader, _node: None)
    merged: dict[str, Any] = {}
    for path in files:
        for name, service in yaml.load(path.read_text(), Loader)["services"].items():
            merged.setdefault(name, {}).update(service)
    return merged


def _filled(text: str, environ: dict[str, str]) -> str:
    """`text` with compose's ${NAME}, ${NAME:-default}, ${NAME:+replacement} and ${NAME:?message} filled in."""

    def value(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        actual = environ.get(name, "")
        return (word if actual else "") if operator == ":+" else actual or (word if operator == ":-" else "")

    return re.sub(r"\$\{(\w+)(?:(:[-+?])([^}]*))?\}", value, text)


def _job(path: Path) -> dict[str, Any]:
    (job,) = [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d["kind"] == "Job"]
    return dict(job)


# -- Dockerfile -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("variant", "image"), [("cpu", "debian:"), ("gpu", "nvidia/cuda:")])
def test_a_variant_builds_on_its_own_image_alone(variant: str, image: str) -> None:
    stages = dockerfile.stages(DOCKERFILE, {"VARIANT": variant})
    assert [stage.name for stage in stages] == [f"base-{variant}", "base", "build", "operator"]
    assert stages[0].base.startswith(image)
    tag = stages[0].base.rpartition(":")[2]
    assert tag != "latest"


def test_the_image_is_one_shot_and_not_root() -> None:
    stage = _last("gpu")
    assert json.loads(_instruction(stage, "ENTRYPOINT")) == ["python", "-m", "gpu_infer"]
    assert re.fullmatch(r"[1-9]\d*:0", _user({}))
    assert "HEALTHCHECK" not in DOCKERFILE.read_text()


def test_a_build_argument_chooses_the_user_for_scripts_that_pass_none() -> None:
    assert _user({"OPERATOR_USER": "0:0"}) == "0:0"


def test_labels() -> None:
    stage = _last("gpu")
    labels = dockerfile.pairs(_instruction(stage, "LABEL"))
    prefix = "org.opencontainers.image."
    assert set(labels) == {prefix + name for name in ("title", "description", "licenses", "version", "revision")}
    assert labels[prefix + "licenses"] == "Apache-2.0"
    (version,) = [item.text for item in stage.instructions if item.name == "ARG" and item.text.startswith("VERSION")]
    assert version == f"VERSION={__version__}"


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_variables_of_the_image_are_documented(variant: str) -> None:
    env = dockerfile.environment(DOCKERFILE, {"VARIANT": variant})["operator"]
    ours = {name for name in env if not name.startswith(("PATH", "PYTHON"))}
    assert ours <= _documented()
    assert KERNELS_VARIABLE in ours
    assert has_container_defaults(env)
    assert env["PATH"].startswith("/opt/gpu_infer/bin:")


def test_variables_that_the_package_reads_or_sets_are_documented() -> None:
    named = re.compile(r"""environ(?:\.get\(|\.setdefault\(|\.pop\(|\[)"([A-Z][A-Z0-9_]+)\"""")
    constant = re.compile(r'^[A-Z_]*VARIABLE = "([A-Z][A-Z0-9_]+)"', re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "gpu_infer").rglob("*.py")]
    used = {name for text in texts for pattern in (named, constant) for name in pattern.findall(text)}
    assert {"CUPY_CACHE_DIR", "GPU_INFER_CACHE", "GPU_INFER_KERNELS"} <= used
    assert used - {"HOME", "PATH"} <= _documented()


def test_drivers_are_those_that_the_base_image_asks_for() -> None:
    """NVIDIA's image of CUDA 12.9 starts on no 525, whatever our software could."""
    least = {"12.9": "575", "13.0": "580"}  # drivers that come with these releases
    page = (ROOT / "docs" / "deploy.md").read_text()
    rows = dict(re.findall(r"^\| `nvidia/cuda:([\d.]+)-\S+` \| \d+ \| (\d+) or newer", page, re.MULTILINE))
    built = re.findall(r"nvidia/cuda:([\d.]+)-runtime", DOCKERFILE.read_text())
    assert set(built) == set(rows)
    assert {version: driver for version, driver in rows.items() if driver != least[version[:4]]} == {}
    assert not re.search(r"driver \d", DOCKERFILE.read_text())


def test_the_folders_of_the_image_are_the_defaults() -> None:
    (made,) = [item.text for item in _last("cpu").instructions if item.name == "RUN"]
    defaults = container_settings({})
    for folder in (defaults.input, defaults.output, defaults.logs, defaults.publish):
        assert str(folder) in shlex.split(made)


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    for stage in dockerfile.stages(DOCKERFILE, {"VARIANT": "gpu"}):
        for sources, origin, _ in dockerfile.copies(stage):
            for source in sources if origin is None else ():
                assert (ROOT / source).exists()
                assert any(fnmatch(source, rule) for rule in allowed), source


def test_the_wheel_of_the_image_has_what_pyproject_asks_for() -> None:
    """Folders that the build backend includes by force must be copied before `pip install .`."""
    copied = {
        s for stage in dockerfile.stages(DOCKERFILE) for sources, _, _ in dockerfile.copies(stage) for s in sources
    }
    text = (ROOT / "pyproject.toml").read_text()
    section = text.split("[tool.hatch.build.targets.wheel.force-include]")[1].split("[")[0]
    assert {line.split('"')[1] for line in section.strip().splitlines()} <= copied


@pytest.mark.parametrize("path", [DOCKERFILE, *DERIVED], ids=lambda p: p.parent.name)
def test_hadolint(path: Path) -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("hadolint (extra `lint`) is not installed")
    done = subprocess.run([program, str(path)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


def test_an_unknown_instruction_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\nRUN --mount=type=cache,target=/x true\n")
    with pytest.raises(ValueError, match=r"Dockerfile:2: RUN: not understood"):
        dockerfile.read(path)


# -- a derived operator ---------------------------------------------------------------------------------------------
def test_the_derived_operator_replaces_the_configuration_that_runs() -> None:
    env = dockerfile.environment(DOCKERFILE, {"VARIANT": "cpu"})["operator"]
    custom = ROOT / "deploy" / "custom"
    (stage,) = dockerfile.stages(custom / "Dockerfile")
    ((sources, _, destination),) = dockerfile.copies(stage)
    assert sources == ["config/"]
    assert env["NVIDIA_CLARA_CONFIG_INFERENCE"] == f"{destination}config_inference.json"
    assert load_config(custom / "config" / "config_inference.json", {})


# -- compose --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("files", [[COMPOSE], [COMPOSE, ROOT / "deploy" / "compose.cpu.yaml"]], ids=["gpu", "cpu"])
def test_compose(files: list[Path]) -> None:
    services = _services(*files)
    triton, operator = services["triton"], services["operator"]
    assert "--allow-client-shm=true" in triton["command"]
    for service in (triton, operator):
        assert service["ipc"] == service["pid"] == "host"
    assert set(operator["environment"]) <= _documented()
    assert operator["read_only"] is True
    targets = {_filled(volume, {}).removesuffix(":ro").rpartition(":")[2] for volume in operator["volumes"]}
    assert targets == {"/input", "/output", "/logs", "/publish", "/config"}
    on_gpu = len(files) == 1
    assert bool(triton["deploy"]) is bool(operator["deploy"]) is on_gpu
    if on_gpu:
        assert triton["deploy"] == operator["deploy"]
    (name,) = [o.partition("=")[2] for o in triton["command"] if o.startswith("--model-config-name")]
    assert f"{name}.pbtxt" in {path.name for path in ONNX_CONFIGS}


@pytest.mark.parametrize(("config", "mount"), [("", "./config:/config:ro"), ("./mine", "./mine:/app/config:ro")])
def test_compose_mounts_the_folder_of_config_in_place_of_the_images(config: str, mount: str) -> None:
    operator = _services(COMPOSE)["operator"]
    assert mount in [_filled(volume, {"CONFIG": config}) for volume in operator["volumes"]]
    image = dockerfile.environment(DOCKERFILE, {"VARIANT": "gpu"})["operator"]
    assert operator["environment"]["NVIDIA_CLARA_CONFIG_INFERENCE"] == image["NVIDIA_CLARA_CONFIG_INFERENCE"]


def test_variables_of_compose_are_those_of_the_page() -> None:
    text = COMPOSE.read_text() + (ROOT / "deploy" / "compose.cpu.yaml").read_text()
    page = (ROOT / "docs" / "deploy.md").read_text()
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| .* \|$", page.split("## Docker")[1].split("## ")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"[A-Z_]+", row)} == set(re.findall(r"\$\{(\w+)", text))


# -- every file that starts a stock Triton --------------------------------------------------------------------------
def _starts() -> dict[str, str]:
    """Arguments of tritonserver, by file or command of a page.

    test_run_operator_arguments checks those of the start script.
    """
    starts = {}
    for path in [*ROOT.glob("*.yaml"), *(ROOT / "deploy").rglob("*.yaml")]:
        for number, listed in enumerate(re.findall(r"- tritonserver\n((?: +- --.*\n)+)", path.read_text())):
            starts[f"{path.relative_to(ROOT)} {number}"] = listed
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for number, command in enumerate(
            re.findall(r"tritonserver (?:[^\n]*\\\n)*[^\n]*--model-rep.*", path.read_text())
        ):
            starts[f"{path.relative_to(ROOT)} {number}"] = command
    return starts


STARTS = _starts()


@pytest.mark.parametrize("start", STARTS)
def test_a_stock_triton_serves_the_demonstration_model_and_accepts_shared_memory(start: str) -> None:
    options = dict(re.findall(r"(--[a-z-]+)=(\S+)", STARTS[start]))
    assert options["--allow-client-shm"] == "true"
    assert f"{options['--model-config-name']}.pbtxt" in {path.name for path in ONNX_CONFIGS}
    assert options["--model-repository"] == "/models"


def test_every_file_that_starts_triton_is_checked() -> None:
    files = {start.split()[0] for start in STARTS}
    jobs = {f"deploy/kubernetes/{path.name}" for path in JOBS}
    assert files >= {"compose.yaml", "deploy/compose.cpu.yaml", "docs/deploy.md"} | jobs


@pytest.mark.parametrize("path", ONNX_CONFIGS, ids=lambda path: path.stem)
def test_the_other_configurations_of_the_demo_model_are_the_same_model(path: Path, tmp_path: Path) -> None:
    models = ROOT / "models"
    name = path.parents[1].name
    (tmp_path / name / "1").mkdir(parents=True)
    shutil.copy(path, tmp_path / name / "config.pbtxt")
    theirs, ours = model_in_repository(tmp_path, name), model_in_repository(models, name)
    assert theirs is not None
    assert ours is not None
    for attribute in ("input", "output", "max_batch", "batch_axis"):
        assert getattr(theirs, attribute) == getattr(ours, attribute)
    (file,) = re.findall(r'default_model_filename: "(.+)"', path.read_text(encoding="utf-8"))
    assert (models / name / "1" / file).is_file()


# -- Kubernetes -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_job(path: Path) -> None:
    pod = _job(path)["spec"]["template"]["spec"]
    (triton,), (operator,) = pod["initContainers"], pod["containers"]
    assert triton["restartPolicy"] == "Always", "a sidecar, else the operator never starts"
    assert "--allow-client-shm=true" in triton["command"]
    assert {item["name"] for item in operator["env"]} <= _documented()
    assert any(item["name"] in TRITON_VARIABLES for item in operator["env"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert operator["securityContext"]["readOnlyRootFilesystem"] is True
    shared = [
        mount["name"] for c in (triton, operator) for mount in c["volumeMounts"] if mount["mountPath"] == "/dev/shm"
    ]
    assert len(set(shared)) == 1
    assert len(shared) == 2
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes[shared[0]]["emptyDir"]["medium"] == "Memory"
    assert {mount["name"] for c in (triton, operator) for mount in c["volumeMounts"]} <= volumes.keys()
    retried = {
        code for rule in _job(path)["spec"]["podFailurePolicy"]["rules"] for code in rule["onExitCodes"]["values"]
    }
    assert retried == {2, 3}


def test_cuda_shared_memory_needs_one_claim_and_one_process_namespace() -> None:
    pod = _job(ROOT / "deploy" / "kubernetes" / "job.yaml")["spec"]["template"]["spec"]
    assert pod["shareProcessNamespace"] is True
    claims = [c["resources"]["claims"] for c in (*pod["initContainers"], *pod["containers"])]
    assert claims[0] == claims[1] == [{"name": pod["resourceClaims"][0]["name"]}]
