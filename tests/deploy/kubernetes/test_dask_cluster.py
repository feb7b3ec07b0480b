"""Scheduler, workers and client of the Dask cluster find one another."""

from __future__ import annotations

from typing import Any

import pytest
from manifests import document, documents, option_value


def test_workers_and_the_client_reach_the_scheduler() -> None:
    service = document("dask-cluster.yaml", "Service")
    scheduler, worker = (
        document("dask-cluster.yaml", "Deployment", f"gpu-infer-dask-{name}") for name in ("scheduler", "worker")
    )
    labels = scheduler["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = [item["targetPort"] for item in service["spec"]["ports"]]
    command = scheduler["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[command.index("--port") + 1] == str(port)
    address = f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert address in worker["spec"]["template"]["spec"]["containers"][0]["command"]
    (client,) = document("dask-job.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    assert option_value(client["args"], "--scheduler") == address


def test_pods_of_the_cluster_reach_one_another_and_nothing_else_reaches_them() -> None:
    policy = document("dask-cluster.yaml", "NetworkPolicy")["spec"]
    selected = policy["podSelector"]["matchLabels"]
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": selected}}]}]
    deployments = [doc for doc in documents("dask-cluster.yaml") if doc["kind"] == "Deployment"]
    for each in (*deployments, document("dask-job.yaml", "Job")):
        assert selected.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    for each in deployments:
        chosen = each["spec"]["selector"]["matchLabels"]
        assert chosen.items() <= each["spec"]["template"]["metadata"]["labels"].items()


def test_workers_see_the_folders_of_the_client_at_the_same_paths() -> None:
    def folders(container: dict[str, Any]) -> dict[str, str]:
        data = {m["mountPath"]: m["subPath"] for m in container["volumeMounts"] if m["name"] == "data"}
        return {path: folder for path, folder in data.items() if path != "/logs"}  # the client's own

    (client,) = document("dask-job.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    worker = document("dask-cluster.yaml", "Deployment", "gpu-infer-dask-worker")["spec"]["template"]["spec"]
    assert folders(worker["containers"][0]) == folders(client)
    assert client["image"] == worker["containers"][0]["image"]


def test_dask_has_the_options_of_its_pods() -> None:
    scheduler = pytest.importorskip("distributed.cli.dask_scheduler")
    worker = pytest.importorskip("distributed.cli.dask_worker")
    for name, program in (("scheduler", scheduler.main), ("worker", worker.main)):
        pod = document("dask-cluster.yaml", "Deployment", f"gpu-infer-dask-{name}")["spec"]["template"]["spec"]
        dask, command, *arguments = pod["containers"][0]["command"]
        assert (dask, command) == ("dask", name)
        options = program.make_context(name, arguments).params
        if name == "worker":
            assert (options["memory_limit"], options["nthreads"]) == ("0", 1)
