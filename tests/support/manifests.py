"""The documents of deploy/kubernetes, and the pods that they start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))

Document = dict[str, Any]


class Pod(NamedTuple):
    """A pod: its specification (of a workflow: of all its pods), its containers with init containers, its volumes."""

    spec: dict[str, Any]
    containers: list[dict[str, Any]]
    volumes: list[dict[str, Any]]

    @property
    def own_containers(self) -> list[dict[str, Any]]:
        """Those with an image of gpu_infer."""
        return [container for container in self.containers if container["image"].startswith("gpu_infer:")]


def documents(file: str) -> list[Document]:
    """All documents of a file."""
    return list(yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8")))


def document(file: str, kind: str, name: str | None = None) -> Document:
    """The only document of a kind in a file, or the one with this name."""
    (only,) = [
        each for each in documents(file) if each["kind"] == kind and name in (None, each["metadata"].get("name"))
    ]
    return only


ALL = {f"{path.stem}-{each['kind']}-{n}": (path, each) for path in FILES for n, each in enumerate(documents(path.name))}
"""(file, document) by an identifier for tests."""


def _pods(each: Document) -> Iterator[Pod]:
    spec = each.get("spec", {})
    if each["kind"] == "Workflow":
        for template in spec["templates"]:
            if "container" in template:
                yield Pod(spec, [template["container"], *template.get("sidecars", [])], spec["volumes"])
    elif each["kind"] in ("Job", "Deployment", "Pod"):
        pod = spec if each["kind"] == "Pod" else spec["template"]["spec"]
        yield Pod(pod, [*pod.get("initContainers", []), *pod["containers"]], pod["volumes"])


PODS = {f"{key}-{number}": pod for key, (_, each) in ALL.items() for number, pod in enumerate(_pods(each))}
"""Every pod that a document starts, by an identifier for tests."""


def option_value(arguments: list[str], name: str) -> str:
    """The value of `name=value` among the arguments."""
    (value,) = [word.partition("=")[2] for word in arguments if word.partition("=")[0] == name]
    return value
