"""Images and commands that the files and pages of Kubernetes name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from manifests import ALL, FILES, FOLDER, ROOT


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
    objects = {each["metadata"].get("name") for _, each in ALL.values()}
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


def test_the_name_of_a_second_job_is_chosen_by_kubernetes() -> None:
    """The page's `sed … | kubectl create`."""
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    ((program, file),) = re.findall(r"^sed '(.+)' (\S+) \| kubectl create -f -$", page, re.MULTILINE)
    done = subprocess.run(["sed", program, file], cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    original, changed = (list(yaml.safe_load_all(text)) for text in ((ROOT / file).read_text(), done.stdout))
    (job,) = original
    job["metadata"]["generateName"] = job["metadata"].pop("name") + "-"
    assert changed == original


def test_variables_of_the_slurm_script_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "many-volumes.md").read_text(encoding="utf-8").split("### Slurm")[1].split("\n### ")[0]
    script = (ROOT / "deploy" / "slurm" / "batch.sh").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) - {"GPU_INFER_CACHE"}
    read = {name for name in re.findall(r"\$\{([A-Z_]+):[-+]", script) if not name.startswith(("SLURM_", "NUMBA_"))}
    assert read == documented == set(re.findall(r"^#   ([A-Z_]+) {2,}\S", script, re.MULTILINE))
