"""Steps, parameters and account of the Argo Workflow."""

from __future__ import annotations

import re
from itertools import pairwise

from manifests import document, documents


def test_every_step_and_parameter_of_the_workflow_exists() -> None:
    spec = document("argo-workflow.yaml", "Workflow")["spec"]
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
    account, role, binding = documents("argo-account.yaml")
    name = account["metadata"]["name"]
    assert document("argo-workflow.yaml", "Workflow")["spec"]["serviceAccountName"] == name
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [name]
