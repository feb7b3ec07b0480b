"""The build argument EXTRAS of the Dockerfile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import dockerfile
import pytest

ROOT = Path(__file__).resolve().parents[2]


def _installed(**arguments: str) -> subprocess.CompletedProcess[str]:
    """What the build would install: the RUN line of pip in a shell, with `echo` in place of pip."""
    stage = next(stage for stage in dockerfile.stages(ROOT / "Dockerfile") if stage.name == "build")
    (line,) = [item.text for item in stage.instructions if item.name == "RUN" and "pip install" in item.text]
    line = line.replace("/opt/gpu_infer/bin/pip install --no-cache-dir", "echo")
    env = {"PATH": os.environ["PATH"], "CUDA": "12", **arguments}
    return subprocess.run(["sh", "-c", line], env=env, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.parametrize(
    ("variant", "extras", "package"),
    [
        ("cpu", "", "."),
        ("cpu", "dicom", ".[dicom]"),
        ("cpu", "dicom,dask", ".[dicom,dask]"),
        ("gpu", "", ".[cuda12]"),
        ("gpu", "dask,metrics", ".[cuda12,dask,metrics]"),
        ("cpu", "filters", ".[filters]"),
    ],
)
def test_extras_are_installed_with_those_of_the_variant(variant: str, extras: str, package: str) -> None:
    done = _installed(VARIANT=variant, EXTRAS=extras)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{package}\n", "")


def test_another_word_ends_the_build() -> None:
    """pip installs a package without an extra that it does not have, with a warning alone."""
    done = _installed(VARIANT="cpu", EXTRAS="dicom,desk")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "EXTRAS=dicom,desk: found desk, expected dicom, dask, metrics or filters\n"
