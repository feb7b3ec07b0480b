"""Every document of deploy/kubernetes against the schemas of Kubernetes and of Argo Workflows."""

from __future__ import annotations

import kubernetes_validate
import pytest
from manifests import ALL, Document, document

OLDEST = {"job.yaml": "1.34"}
"""Oldest release of Kubernetes that a file is for; 1.29 without an entry."""

ARGO = "argoproj.io/v1alpha1"


def _check_argo(workflow: Document) -> None:
    """Raise ValueError unless Argo's schema has every key of the document, and each value is of its type."""
    from hera.workflows.models import Workflow

    # The models skip keys that they do not know: what they write back has lost them.
    written = Workflow.model_validate(workflow).model_dump(by_alias=True, exclude_unset=True)
    if written != workflow:
        raise ValueError("keys that Argo's schema does not have")


@pytest.mark.parametrize("key", ALL)
def test_the_schema_has_every_key_and_value(key: str) -> None:
    path, each = ALL[key]
    if each["apiVersion"] == ARGO:
        _check_argo(each)
        return
    for release in {OLDEST.get(path.name, "1.29"), "1.34"}:
        assert kubernetes_validate.validate(each, release, strict=True) == release


def test_an_unknown_key_is_found() -> None:
    job = document("job-indexed.yaml", "Job")
    job["spec"]["backoffLimitPerIndexes"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimitPerIndexes"):
        kubernetes_validate.validate(job, "1.34", strict=True)


def test_an_unknown_key_and_a_wrong_type_of_a_workflow_are_found() -> None:
    workflow = document("argo-workflow.yaml", "Workflow")
    workflow["spec"]["templates"][1]["container"]["resource"] = {}
    with pytest.raises(ValueError, match="keys that"):
        _check_argo(workflow)
    workflow = document("argo-workflow.yaml", "Workflow")
    workflow["spec"]["templates"][1]["container"]["args"] = "series"
    with pytest.raises(ValueError, match="valid list"):
        _check_argo(workflow)
