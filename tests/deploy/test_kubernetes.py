"""deploy/kubernetes: every document against the schemas of Kubernetes and Argo, and what no schema says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

from gpu_infer.cli.main import app
from gpu_infer.errors import GpuInferError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))

OLDEST = {"job.yaml": "1.34"}
"""Oldest release of Kubernetes that a file is for; 1.29 without an entry."""

ARGO = "argoproj.io/v1alpha1"


def _documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


DOCUMENTS = {f"{path.stem}-{doc['kind']}-{n}": (path, doc) for path in FILES for n, doc in enumerate(_documents(path))}
JOBS = {key: doc for key, (_, doc) in DOCUMENTS.items() if doc["kind"] == "Job"}


def _document(file: str, kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = [
        doc for doc in _documents(FOLDER / file) if doc["kind"] == kind and name in (None, doc["metadata"].get("name"))
    ]
    return found


def _check_argo(document: dict[str, Any]) -> None:
    """Raise ValueError unless Argo's schema has every key of the document, and each value is of its type."""
    from hera.workflows.models import Workflow

    # The models skip keys that they do not know: what they write back has lost them.
    written = Workflow.model_validate(document).model_dump(by_alias=True, exclude_unset=True)
    if written != document:
        raise ValueError("keys that Argo's schema does not have")


def _pods(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]]:
    """(specification of the pod, its containers, its volumes) of every pod that the document starts."""
    spec = document.get("spec", {})
    if document["kind"] == "Workflow":
        for template in spec["templates"]:
            if "container" in template:
                yield spec, [template["container"], *template.get("sidecars", [])], spec["volumes"]
    elif document["kind"] in ("Job", "Deployment", "Pod"):
        pod = spec if document["kind"] == "Pod" else spec["template"]["spec"]
        yield pod, [*pod.get("initContainers", []), *pod["containers"]], pod["volumes"]


PODS = [
    pytest.param(*pod, id=f"{key}-{number}")
    for key, (_, doc) in DOCUMENTS.items()
    for number, pod in enumerate(_pods(doc))
]


def _ours(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [container for container in containers if container["image"].startswith("gpu_infer:")]


def _option(arguments: list[str], name: str) -> str:
    (value,) = [word.partition("=")[2] for word in arguments if word.partition("=")[0] == name]
    return value


# -- schemas --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", DOCUMENTS)
def test_the_schema_has_every_key_and_value(key: str) -> None:
    path, document = DOCUMENTS[key]
    if document["apiVersion"] == ARGO:
        _check_argo(document)
        return
    for release in {OLDEST.get(path.name, "1.29"), "1.34"}:
        assert kubernetes_validate.validate(document, release, strict=True) == release


def test_an_unknown_key_is_found() -> None:
    job = _document("job-indexed.yaml", "Job")
    job["spec"]["backoffLimitPerIndexes"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimitPerIndexes"):
        kubernetes_validate.validate(job, "1.34", strict=True)


def test_an_unknown_key_and_a_wrong_type_of_a_workflow_are_found() -> None:
    workflow = _document("argo-workflow.yaml", "Workflow")
    workflow["spec"]["templates"][1]["container"]["resource"] = {}
    with pytest.raises(ValueError, match="keys that"):
        _check_argo(workflow)
    workflow = _document("argo-workflow.yaml", "Workflow")
    workflow["spec"]["templates"][1]["container"]["args"] = "series"
    with pytest.raises(ValueError, match="valid list"):
        _check_argo(workflow)


# -- pods -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("pod", "containers", "volumes"), PODS)
def test_a_pod_is_not_root_and_writes_to_its_volumes_alone(
    pod: dict[str, Any], containers: list[dict[str, Any]], volumes: list[dict[str, Any]]
) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    for container in _ours(containers):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
    names = [volume["name"] for volume in volumes]
    mounts = {mount["name"] for container in containers for mount in container["volumeMounts"]}
    assert mounts <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("pod", "containers", "volumes"), PODS)
def test_triton_and_its_client_share_memory(
    pod: dict[str, Any], containers: list[dict[str, Any]], volumes: list[dict[str, Any]]
) -> None:
    if all("tritonserver" not in container.get("command", []) for container in containers):
        assert all(mount["mountPath"] != "/dev/shm" for c in containers for mount in c["volumeMounts"])
        return
    shared = [mount["name"] for c in containers for mount in c["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
    assert shared == ["shm"] * len(containers)
    (memory,) = [volume["emptyDir"]["medium"] for volume in volumes if volume["name"] == "shm"]
    assert memory == "Memory"


@pytest.mark.parametrize(("pod", "containers", "volumes"), PODS)
def test_claims_are_those_of_storage(
    pod: dict[str, Any], containers: list[dict[str, Any]], volumes: list[dict[str, Any]]
) -> None:
    claims = {doc["metadata"]["name"] for doc in _documents(FOLDER / "storage.yaml") if doc["kind"].endswith("Claim")}
    used = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    assert used <= claims


@pytest.mark.parametrize(("pod", "containers", "volumes"), PODS)
def test_variables_are_documented(
    pod: dict[str, Any], containers: list[dict[str, Any]], volumes: list[dict[str, Any]]
) -> None:
    page = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    for container in _ours(containers):
        assert [item["name"] for item in container.get("env", []) if f"`{item['name']}`" not in page] == []


@pytest.mark.parametrize(("pod", "containers", "volumes"), PODS)
def test_commands_exist_with_these_options(
    pod: dict[str, Any], containers: list[dict[str, Any]], volumes: list[dict[str, Any]], tmp_path: Path
) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for container in _ours(containers):
        if container.get("command", ["python", "-m", "gpu_infer"]) != ["python", "-m", "gpu_infer"]:
            continue
        name, *arguments = container.get("args", ["version"])
        if name not in commands:
            pytest.skip(f"no command {name} in this build")
        filled = [word.replace("{{workflow.parameters.archive}}", "ORTHANC@orthanc:4242") for word in arguments]
        try:
            commands[name].make_context(name, filled)
        except GpuInferError as error:
            pytest.fail(str(error))


# -- batches --------------------------------------------------------------------------------------------------------
def _action(job: dict[str, Any], code: int, *, node_lost: bool = False) -> str:
    """What Kubernetes does after a pod ended with `code`: the first rule that applies decides."""
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule and code in rule["onExitCodes"]["values"]:
            return str(rule["action"])
        if node_lost and any(item["type"] == "DisruptionTarget" for item in rule.get("onPodConditions", [])):
            return str(rule["action"])
    return "Count"


@pytest.mark.parametrize(("file", "fail"), [("job-indexed.yaml", "FailIndex"), ("dask-job.yaml", "FailJob")])
def test_what_would_fail_again_is_not_tried_again(file: str, fail: str) -> None:
    job = _document(file, "Job")
    actions = {code: _action(job, code) for code in (1, 2, 3, 4, 5, 6, 130, 137)}
    assert actions == {1: "Count", 2: fail, 3: fail, 4: "Count", 5: "Count", 6: fail, 130: "Count", 137: "Count"}
    assert {_action(job, code, node_lost=True) for code in (4, 5, 130, 137, 143)} == {"Ignore"}


@pytest.mark.parametrize("key", JOBS)
def test_what_the_api_server_checks_beyond_the_schema(key: str) -> None:
    spec = JOBS[key]["spec"]
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    names = [container["name"] for container in pod["containers"]]
    for rule in spec["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            assert rule["onExitCodes"]["containerName"] in names
            assert rule["onExitCodes"]["values"] == sorted(set(rule["onExitCodes"]["values"]) - {0})
        assert rule["action"] != "FailIndex" or "backoffLimitPerIndex" in spec
    assert ("backoffLimitPerIndex" in spec) == (spec.get("completionMode") == "Indexed")
    assert "backoffLimitPerIndex" not in spec or "backoffLimit" not in spec
    assert spec.get("maxFailedIndexes", 0) <= spec.get("completions", 1)


def test_the_indexes_are_the_parts() -> None:
    job = _document("job-indexed.yaml", "Job")["spec"]
    (operator,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert int(_option(operator["args"], "--parts")) == job["completions"] == job["maxFailedIndexes"]
    assert 1 <= job["parallelism"] <= job["completions"]


@pytest.mark.parametrize("file", ["job-indexed.yaml", "dask-job.yaml"])
def test_the_list_of_cases_is_the_config_map_of_the_comment(file: str) -> None:
    (operator,) = _document(file, "Job")["spec"]["template"]["spec"]["containers"]
    (volume,) = [v for v in _document(file, "Job")["spec"]["template"]["spec"]["volumes"] if v["name"] == "cases"]
    name, key = re.findall(r"kubectl create configmap (\S+) --from-file=(\S+)", (FOLDER / file).read_text())[0]
    assert volume["configMap"]["name"] == name
    (folder,) = [mount["mountPath"] for mount in operator["volumeMounts"] if mount["name"] == "cases"]
    assert _option(operator["args"], "--input") == f"{folder}/{key}"


# -- Dask -----------------------------------------------------------------------------------------------------------
def test_workers_and_the_client_reach_the_scheduler() -> None:
    service = _document("dask-cluster.yaml", "Service")
    scheduler, worker = (
        _document("dask-cluster.yaml", "Deployment", f"gpu-infer-dask-{name}") for name in ("scheduler", "worker")
    )
    labels = scheduler["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = [item["targetPort"] for item in service["spec"]["ports"]]
    command = scheduler["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[command.index("--port") + 1] == str(port)
    address = f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert address in worker["spec"]["template"]["spec"]["containers"][0]["command"]
    (client,) = _document("dask-job.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    assert _option(client["args"], "--scheduler") == address


def test_pods_of_the_cluster_reach_one_another_and_nothing_else_reaches_them() -> None:
    policy = _document("dask-cluster.yaml", "NetworkPolicy")["spec"]
    selected = policy["podSelector"]["matchLabels"]
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": selected}}]}]
    deployments = [doc for doc in _documents(FOLDER / "dask-cluster.yaml") if doc["kind"] == "Deployment"]
    for document in (*deployments, _document("dask-job.yaml", "Job")):
        assert selected.items() <= document["spec"]["template"]["metadata"]["labels"].items()
    for document in deployments:
        chosen = document["spec"]["selector"]["matchLabels"]
        assert chosen.items() <= document["spec"]["template"]["metadata"]["labels"].items()


def test_workers_see_the_folders_of_the_client_at_the_same_paths() -> None:
    def folders(container: dict[str, Any]) -> dict[str, str]:
        return {m["mountPath"]: m["subPath"] for m in container["volumeMounts"] if m["name"] == "data"}

    (client,) = _document("dask-job.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    worker = _document("dask-cluster.yaml", "Deployment", "gpu-infer-dask-worker")["spec"]["template"]["spec"]
    assert folders(worker["containers"][0]) == folders(client)
    assert client["image"] == worker["containers"][0]["image"]


# -- Argo -----------------------------------------------------------------------------------------------------------
def test_every_step_and_parameter_of_the_workflow_exists() -> None:
    spec = _document("argo-workflow.yaml", "Workflow")["spec"]
    templates = {template["name"]: template for template in spec["templates"]}
    tasks = templates[spec["entrypoint"]]["dag"]["tasks"]
    assert [task["name"] for task in tasks] == ["reader", "check", "operator"]
    assert {task["template"] for task in tasks} == templates.keys() - {spec["entrypoint"]}
    for before, task in pairwise(tasks):
        assert task["dependencies"] == [before["name"]]
    parameters = {parameter["name"] for parameter in spec["arguments"]["parameters"]}
    words = " ".join(word for template in templates.values() for word in template.get("container", {}).get("args", []))
    assert set(re.findall(r"\{\{workflow\.parameters\.(\w+)\}\}", words)) == parameters


def test_the_account_of_the_workflow_may_report_results_alone() -> None:
    account, role, binding = _documents(FOLDER / "argo-account.yaml")
    name = account["metadata"]["name"]
    assert _document("argo-workflow.yaml", "Workflow")["spec"]["serviceAccountName"] == name
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [name]


# -- images and pages -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_images_with_extras_are_built_by_a_command_of_the_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    built = dict(re.findall(r"docker build -t (\S+) --build-arg VARIANT=cpu --build-arg EXTRAS=(\S+) \.", text))
    used = {image for image in re.findall(r"image: (gpu_infer:\S+)", text) if image.count("-")}
    for image in used - built.keys():  # a client of a cluster has the image of the cluster
        assert path.name == "dask-job.yaml"
        assert image in (FOLDER / "dask-cluster.yaml").read_text()
    allowed = re.findall(r"^ +(\w+(?: \| \w+)+)\) ;;", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(built.values()) <= set(allowed[0].split(" | "))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_describes_the_file(path: Path) -> None:
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("deploy.md", "many-volumes.md"))
    assert f"../deploy/kubernetes/{path.name}" in pages


def test_kubectl_of_the_pages_names_files_and_objects_that_exist() -> None:
    objects = {doc["metadata"].get("name") for _, doc in DOCUMENTS.values()}
    for name in ("deploy.md", "many-volumes.md"):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        lines = [line for block in re.findall(r"^```\n(.*?)^```", page, re.M | re.S) for line in block.splitlines()]
        commands = [line for line in lines if line.startswith(("kubectl", "argo "))]
        assert commands
        for line in commands:
            for file in re.findall(r"deploy/\S+\.yaml", line):
                assert (ROOT / file).is_file(), line
            for named in re.findall(r"\b(?:job|deploy|pod|jobs)[/ ](gpu-infer\S*)|exec (gpu-infer\S*)", line):
                assert set(filter(None, named)) <= objects, line
