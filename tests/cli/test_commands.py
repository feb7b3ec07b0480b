"""The commands of the program: one is built alone if its name is known, all otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from gpu_infer.cli.commands import make_app

ALL = {"run", "batch", "series", "demo", "validate", "view", "triton", "models", "init", "doctor", "version"}


def _names(argument: str | None) -> set[str]:
    return set(getattr(get_command(make_app(argument)), "commands", {}))


@pytest.mark.parametrize("argument", sorted(ALL - {"version"}))
def test_a_known_command_is_built_alone(argument: str) -> None:
    assert _names(argument) == {argument}


@pytest.mark.parametrize("argument", [None, "--help", "-h", "serve", "", "version"])
def test_otherwise_all_are(argument: str | None) -> None:
    assert _names(argument) >= ALL


def test_the_module_of_another_command_is_not_imported() -> None:
    code = "from gpu_infer.cli.commands import make_app; make_app('run'); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    names = done.stdout.split()
    assert "gpu_infer.cli.run" in names
    assert "gpu_infer.cli.batch" not in names
