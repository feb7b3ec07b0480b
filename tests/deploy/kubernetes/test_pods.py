"""What every pod of deploy/kubernetes has to have."""

from __future__ import annotations

import pytest
import typer.main
from manifests import PODS, ROOT, Pod, documents

from gpu_infer.cli.main import app
from gpu_infer.errors import GpuInferError


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_pod_is_not_root_and_writes_to_its_volumes_alone(pod: Pod) -> None:
    assert pod.spec["securityContext"]["runAsNonRoot"] is True
    assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod.containers:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    for container in pod.own_containers:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
    names = [volume["name"] for volume in pod.volumes]
    mounts = {mount["name"] for container in pod.containers for mount in container["volumeMounts"]}
    assert mounts <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_triton_and_its_client_share_memory(pod: Pod) -> None:
    if all("tritonserver" not in container.get("command", []) for container in pod.containers):
        assert all(mount["mountPath"] != "/dev/shm" for c in pod.containers for mount in c["volumeMounts"])
        return
    shared = [mount["name"] for c in pod.containers for mount in c["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
    assert shared == ["shm"] * len(pod.containers)
    (memory,) = [volume["emptyDir"]["medium"] for volume in pod.volumes if volume["name"] == "shm"]
    assert memory == "Memory"


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_claims_are_those_of_storage(pod: Pod) -> None:
    claims = {doc["metadata"]["name"] for doc in documents("storage.yaml") if doc["kind"].endswith("Claim")}
    used = {volume["persistentVolumeClaim"]["claimName"] for volume in pod.volumes if "persistentVolumeClaim" in volume}
    assert used <= claims


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_variables_are_documented(pod: Pod) -> None:
    page = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    for container in pod.own_containers:
        words = " ".join(container.get("args", []))
        for item in container.get("env", []):  # one of the operator's, or of its arguments
            assert f"`{item['name']}`" in page or f"$({item['name']})" in words


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_commands_exist_with_these_options(pod: Pod) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for container in pod.own_containers:
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
