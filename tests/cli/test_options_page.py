"""docs/options.md names every option of every command with its variable and default, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main

from gpu_infer.choices import (
    Control,
    Data,
    Device,
    DicomSeg,
    Format,
    Mode,
    PublishDialect,
    Require,
    ScoresActivation,
    ScoresDtype,
    ScoresFormat,
    Tilt,
)
from gpu_infer.cli.main import app
from gpu_infer.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b")

FIELDS = {
    "--publish-dialect": "publish_dialect",
    "--preview": "preview",
    "--with-identity": "with_identity",
    "--statistics": "statistics",
    "--first": "first",
    "--tilt": "tilt",
    "--allow-foreign-data-files": "allow_foreign_data_files",
    "--data": "data",
    "--device": "device",
    "--require": "require",
    "--load": "load_model",
    "--deadline": "deadline_s",
    "--slab": "slab",
}
"""Options of `run` whose default is that of a field of `Settings`."""


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for command in group.commands.values():
        path = f"{name} {command.name}"
        if hasattr(command, "commands"):
            yield from _commands(command, path)
        else:
            yield path, command


COMMANDS = dict(_commands(typer.main.get_command(app), "gpu-infer"))


def _parameters(command: Any) -> dict[str, Any]:
    """Every spelling of every option → its parameter."""
    options = (p for p in command.params if p.param_type_name == "option" and p.name != "help")
    return {spelling: p for p in options for spelling in (*p.opts, *p.secondary_opts) if spelling.startswith("--")}


def _rows(command: str) -> list[list[str]]:
    """Cells of the rows below the heading of `command`."""
    (section,) = (
        s
        for s in re.split(r"^## ", PAGE, flags=re.MULTILINE)
        if re.match(rf"{command}( CONFIG| PATH| FOLDER| NAME)?\n", s)
    )
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _default(command: str, option: str) -> str:
    (default,) = (cells[2].strip("`") for cells in _rows(command) if option in OPTION.findall(cells[0]))
    return default


def test_every_command_has_a_section() -> None:
    headings = re.findall(r"^## (gpu-infer [a-z -]+?)(?: CONFIG| PATH| FOLDER| NAME)?$", PAGE, re.MULTILINE)
    assert headings == [
        "gpu-infer run",
        "gpu-infer batch",
        "gpu-infer series",
        "gpu-infer demo",
        "gpu-infer validate",
        "gpu-infer doctor",
        "gpu-infer view",
        "gpu-infer triton install",
        "gpu-infer triton serve",
        "gpu-infer models add",
        "gpu-infer models list",
        "gpu-infer models check",
        "gpu-infer models remove",
        "gpu-infer init",
        "gpu-infer import-bundle",
        "gpu-infer import-nnunet",
        "gpu-infer version",
    ]
    assert set(headings) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_section_lists_the_options_of_its_command(command: str) -> None:
    options = [option for cells in _rows(command) for option in OPTION.findall(cells[0])]
    assert sorted(options) == sorted(_parameters(COMMANDS[command]))


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_has_the_variable_that_its_help_names(command: str) -> None:
    for cells in _rows(command):
        for option in OPTION.findall(cells[0]):
            if cells[3].startswith("as for `run`"):
                continue
            assert VARIABLE.findall(cells[1]) == VARIABLE.findall(_parameters(COMMANDS[command])[option].help), option


def test_no_sentence_names_an_option_that_does_not_exist() -> None:
    commands = (*COMMANDS.values(), typer.main.get_command(app))
    names = {option for command in commands for option in _parameters(command)}
    assert set(OPTION.findall(PAGE)) <= names | {"--help"}


def test_a_row_that_refers_to_run_has_options_of_run() -> None:
    ours = _parameters(COMMANDS["gpu-infer run"])
    for command in COMMANDS:
        for cells in _rows(command):
            if cells[3].startswith("as for `run`"):
                for option in OPTION.findall(cells[0]):
                    assert _parameters(COMMANDS[command])[option].help == ours[option].help, (command, option)


def test_choices_are_those_of_the_option() -> None:
    kinds = {"--mode": Mode, "--publish-dialect": PublishDialect, "--control": Control, "--data": Data}
    kinds |= {"--require": Require, "--device": Device, "--format": Format, "--dicom-seg": DicomSeg}
    kinds |= {"--scores-format": ScoresFormat, "--tilt": Tilt}
    kinds |= {"--scores-dtype": ScoresDtype, "--scores-activation": ScoresActivation}
    rows = [cells[0].strip("`").partition(" ") for cells in _rows("gpu-infer run") if r"\|" in cells[0]]
    assert {option: tuple(choices.split(r"\|")) for option, _, choices in rows} == {
        option: get_args(kind) for option, kind in kinds.items()
    }


def test_defaults_of_run_are_those_of_the_settings() -> None:
    settings = Settings.from_environment({})
    words = {True: "on", False: "off", None: "none"}
    for option, field in FIELDS.items():
        value = getattr(settings, field)
        expected = f"{value:g}" if isinstance(value, float) else words.get(value, value)
        assert _default("gpu-infer run", option) == expected, option
    waits = f"{settings.connect_wait_s:g}, then {settings.ready_wait_s:g}"
    assert _default("gpu-infer run", "--wait") == waits
    assert _default("gpu-infer run", "--publish") == words[settings.publish]  # type: ignore[index]
    assert (_default("gpu-infer run", "--logs"), settings.logs) == ("the output folder", settings.output)
    assert [_default("gpu-infer run", option) for option in ("--input", "--output")] == ["none", "none"]


def test_defaults_of_the_other_commands_are_those_of_the_command_line() -> None:
    for command, options in {
        "gpu-infer demo": ["--output"],
        "gpu-infer doctor": ["--wait"],
        "gpu-infer triton serve": ["--http-port", "--grpc-port"],
    }.items():
        for option in options:
            default = _parameters(COMMANDS[command])[option].default
            text = _default(command, option)
            assert (float(text) if isinstance(default, (int, float)) else Path(text)) == default


def test_a_variable_of_the_page_changes_the_settings(tmp_path: Path) -> None:
    """Each is set alone, except that a key needs a certificate."""
    file = tmp_path / "lines"
    file.write_text("X-Hospital: 1\n")
    variables = {name for cells in _rows("gpu-infer run") for name in VARIABLE.findall(cells[1])}
    assert len(variables) == 10
    for name in variables:
        others = {"GPU_INFER_TLS_CERT": str(file)} if name == "GPU_INFER_TLS_KEY" else {}
        values = {"NVIDIA_CLARA_TRTISURI": "triton.example:9000", "NVIDIA_CLARA_OUTPUT": str(tmp_path)}
        value = values.get(name, str(file))
        assert Settings.from_environment({**others, name: value}) != Settings.from_environment(others), name
