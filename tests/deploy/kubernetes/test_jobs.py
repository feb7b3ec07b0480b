"""Jobs over many cases: parts, retries, the list of cases."""

from __future__ import annotations

import re

import pytest
from manifests import ALL, FOLDER, Document, document, option_value

JOBS = {key: each for key, (_, each) in ALL.items() if each["kind"] == "Job"}


def _action(job: Document, code: int, *, node_lost: bool = False) -> str:
    """What Kubernetes does after a pod ended with `code`: the first rule that applies decides."""
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule and code in rule["onExitCodes"]["values"]:
            return str(rule["action"])
        if node_lost and any(item["type"] == "DisruptionTarget" for item in rule.get("onPodConditions", [])):
            return str(rule["action"])
    return "Count"


@pytest.mark.parametrize(("file", "fail"), [("job-indexed.yaml", "FailIndex"), ("dask-job.yaml", "FailJob")])
def test_what_would_fail_again_is_not_tried_again(file: str, fail: str) -> None:
    job = document(file, "Job")
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
    job = document("job-indexed.yaml", "Job")["spec"]
    (operator,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert int(option_value(operator["args"], "--parts")) == job["completions"] == job["maxFailedIndexes"]
    assert 1 <= job["parallelism"] <= job["completions"]


def test_each_part_has_a_folder_for_its_log() -> None:
    """Two pods that write to one file on two nodes overwrite each other's lines."""
    (operator,) = document("job-indexed.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    (part,) = [item["valueFrom"] for item in operator["env"] if item["name"] == "PART"]
    assert part["fieldRef"]["fieldPath"] == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    folder, _, name = option_value(operator["args"], "--logs").rpartition("/")
    assert (folder, name) == ("/logs", "$(PART)")
    assert folder in [mount["mountPath"] for mount in operator["volumeMounts"]]


@pytest.mark.parametrize("file", ["job-indexed.yaml", "dask-job.yaml"])
def test_the_list_of_cases_is_the_config_map_of_the_comment(file: str) -> None:
    (operator,) = document(file, "Job")["spec"]["template"]["spec"]["containers"]
    (volume,) = [v for v in document(file, "Job")["spec"]["template"]["spec"]["volumes"] if v["name"] == "cases"]
    name, key = re.findall(r"kubectl create configmap (\S+) --from-file=(\S+)", (FOLDER / file).read_text())[0]
    assert volume["configMap"]["name"] == name
    (folder,) = [mount["mountPath"] for mount in operator["volumeMounts"] if mount["name"] == "cases"]
    assert option_value(operator["args"], "--input") == f"{folder}/{key}"
