"""One version: of the package, of its distribution, and of the project file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import gpu_infer
from gpu_infer._version import __version__


def test_the_project_file_has_the_packages_version() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == __version__ == gpu_infer.__version__
