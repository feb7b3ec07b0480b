"""Options of the demo; neither server nor volume is downloaded."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from gpu_infer.cli import demo, execute
from gpu_infer.cli.main import app
from gpu_infer.errors import ConfigError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the parts of the demo get, by their names; none of them does anything."""
    calls: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)

    def fetch(folder: Path, *, bar: bool) -> Path:
        calls["fetch"] = bar
        return folder / "ct.nii.gz"

    def run(settings: Any, *, debug: bool, bar: bool, console: int) -> SimpleNamespace:
        calls["run"] = (debug, bar, console)
        calls["output"] = settings.output
        data = {"labels": {"1": {"ml": 4000.4}}}
        written = {"label_maps": [tmp_path / "ct.mhd"], "published": [], "previews": [], "page": None, "report": None}
        written |= {"dicom": [], "scores": [], "statistics": []}
        return SimpleNamespace(data=data, **written)

    monkeypatch.setattr(demo, "_fetch_input", fetch)
    monkeypatch.setattr(demo, "_install_server", lambda *, bar: calls.update(install=bar))
    monkeypatch.setattr(execute, "execute", run)
    return calls


def test_without_options(calls: dict[str, Any], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo"])
    assert result.exception is None
    assert result.stdout == f"lung     4000 ml\nlabels   {tmp_path}/ct.mhd\n"
    assert (calls["fetch"], calls["install"], calls["output"]) == (True, True, tmp_path / "demo_output" / "output")


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(calls: dict[str, Any], option: str) -> None:
    result = CliRunner().invoke(app, ["demo", option])
    assert (result.exception, result.stdout) == (None, "")
    assert calls["run"] == (False, False, logging.ERROR)
    assert (calls["fetch"], calls["install"]) == (False, False)


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_verbose(calls: dict[str, Any], option: str) -> None:
    assert CliRunner().invoke(app, ["demo", option]).exception is None
    assert calls["run"] == (False, True, logging.NOTSET)


def test_quiet_and_verbose(calls: dict[str, Any]) -> None:
    result = CliRunner().invoke(app, ["demo", "-q", "-v"])
    assert str(result.exception).startswith("--quiet contradicts --verbose")
    assert not calls


@pytest.mark.parametrize("name", ["lung.nii.gz", "lung.mhd"])
def test_an_output_that_is_meant_as_a_file(calls: dict[str, Any], tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(app, ["demo", "-o", name])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"--output: found '{name}', a file name that ends with .")
    assert not calls
    assert list(tmp_path.iterdir()) == []
