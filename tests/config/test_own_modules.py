"""Modules of custom components: beside the configuration, in its parent folder, and on PYTHONPATH."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from config_files import component, lung, pre

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError

CODE = """
from own_components import Times

class Thing(Times):
    origin = {origin!r}
"""

_numbers = count()


@pytest.fixture(autouse=True)
def _restored_path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def name() -> str:
    """A module name of each test alone, since a process imports a name once."""
    return f"own_module_{next(_numbers)}"


def put(file: Path, origin: str = "", code: str = CODE) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code.format(origin=origin) if code is CODE else code, encoding="utf-8")


def load_in(folder: Path, entry: dict[str, Any]) -> Config:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_inference.json"
    path.write_text(json.dumps(lung(pre_transforms=pre({**entry, "args": {"fields": "image", "factor": 2}}))))
    return load_config(path, {})


def origin(config: Config) -> object:
    return vars(type(config.pre[1]).__mro__[0]).get("origin") or getattr(config.pre[1], "origin", None)


@pytest.mark.parametrize("key", ["path", "name"])
@pytest.mark.parametrize("place", ["config", "."])
def test_the_folder_and_its_parent_are_searched(
    tmp_path: Path, name: str, key: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / place / f"{name}.py", "found")
    with caplog.at_level("DEBUG"):
        config = load_in(tmp_path / "config", {key: f"{name}.Thing"})
    assert origin(config) == "found"
    assert f"pre_transforms[1].{key}: {name} is imported from {tmp_path / place / name}.py" in caplog.text


def test_a_module_in_a_folder_of_the_parent(tmp_path: Path, name: str) -> None:
    """As in an MMAR: config/config_validation.json, transforms/Thing.py."""
    put(tmp_path / name / "nested.py", "nested")
    assert origin(load_in(tmp_path / "config", {"path": f"{name}.nested.Thing"})) == "nested"


@pytest.mark.parametrize("place", ["config/transforms", "transforms"])
def test_the_folder_transforms_is_searched_without_its_name(tmp_path: Path, name: str, place: str) -> None:
    """As an annotation server exports it: config/config_aiaa.json names "Thing.Thing" of transforms/Thing.py."""
    put(tmp_path / place / f"{name}.py", "transforms")
    assert origin(load_in(tmp_path / "config", {"name": f"{name}.Thing"})) == "transforms"


def test_the_folder_itself_counts_before_its_folder_transforms(tmp_path: Path, name: str) -> None:
    put(tmp_path / "config" / "transforms" / f"{name}.py", "transforms")
    put(tmp_path / f"{name}.py", "parent")
    assert origin(load_in(tmp_path / "config", {"path": f"{name}.Thing"})) == "parent"


def test_a_missing_module_names_the_folder_transforms_if_it_exists(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "config"
    (tmp_path / "transforms").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_in(folder, {"path": f"{name}.Thing"})
    where = f"in {folder} or in {tmp_path} or in {tmp_path}/transforms or on PYTHONPATH (put it there)"
    assert str(caught.value).endswith(f"no {name}.py {where}")


def test_the_nearest_folder_counts_before_pythonpath(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "config" / f"{name}.py", "beside")
    put(tmp_path / f"{name}.py", "parent")
    put(tmp_path / "elsewhere" / f"{name}.py", "PYTHONPATH")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert origin(load_in(tmp_path / "config", {"path": f"{name}.Thing"})) == "beside"


def test_pythonpath_counts_without_a_file_in_the_folders(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "elsewhere" / f"{name}.py", "PYTHONPATH")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert origin(load_in(tmp_path / "a" / "config", {"path": f"{name}.Thing"})) == "PYTHONPATH"


def test_a_module_imports_its_neighbours_also_later(tmp_path: Path, name: str) -> None:
    put(tmp_path / f"{name}_neighbour.py", code="value = 5\n")
    code = f"""
from own_components import Times

class Thing(Times):
    def later(self):
        import {name}_neighbour
        return {name}_neighbour.value
"""
    put(tmp_path / f"{name}.py", code=code)
    transform: Any = load_in(tmp_path / "config", {"path": f"{name}.Thing"}).pre[1]
    assert transform.later() == 5


def test_a_missing_module_says_where_its_file_was_looked_for(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "config"
    with pytest.raises(ConfigError) as caught:
        load_in(folder, {"path": f"transforms_of_nobody.{name}.Thing"})
    assert str(caught.value) == (
        f"{folder}/config_inference.json: pre_transforms[1].path: cannot import "
        f'"transforms_of_nobody.{name}": no transforms_of_nobody/{name}.py in {folder} or in {tmp_path} or on '
        "PYTHONPATH (put it there)"
    )


def test_a_module_of_clara_train_says_what_to_do(tmp_path: Path, name: str) -> None:
    put(tmp_path / f"{name}.py", code="import os\nfrom ai4med.components.transforms.transformer import Transformer\n")
    with pytest.raises(ConfigError) as caught:
        load_in(tmp_path / "config", {"path": f"{name}.Thing"})
    assert str(caught.value).endswith(
        f"cannot import \"{name}\": {tmp_path}/{name}.py, line 2: No module named 'ai4med': it is part of Clara Train, "
        "which is not needed here (derive the class from a kind of gpu_infer.transforms.base instead, as "
        "docs/config.md shows)"
    )


def test_a_module_of_the_same_name_in_another_folder_is_not_mistaken_for_it(tmp_path: Path, name: str) -> None:
    put(tmp_path / "a" / f"{name}.py", "a")
    put(tmp_path / "b" / f"{name}.py", "b")
    assert origin(load_in(tmp_path / "a", {"path": f"{name}.Thing"})) == "a"
    with pytest.raises(ConfigError) as caught:
        load_in(tmp_path / "b", {"path": f"{name}.Thing"})
    assert (
        f'cannot import "{name}": {tmp_path}/a/{name}.py of that name is loaded already, expected '
        f"{tmp_path}/b/{name}.py (give one of the two another name)"
    ) in str(caught.value)


def test_a_package_of_the_same_name_in_another_folder_is_not_mistaken_for_it(tmp_path: Path, name: str) -> None:
    for folder in "ab":
        put(tmp_path / folder / name / "__init__.py", code="")
        put(tmp_path / folder / name / f"{folder}.py", folder)
    assert origin(load_in(tmp_path / "a", {"path": f"{name}.a.Thing"})) == "a"
    with pytest.raises(ConfigError, match=f"{tmp_path}/a/{name}/__init__.py of that name is loaded already"):
        load_in(tmp_path / "b", {"path": f"{name}.b.Thing"})


@pytest.mark.parametrize("before", [True, False])
def test_a_folder_of_another_configuration_is_not_searched(tmp_path: Path, name: str, before: bool) -> None:
    """The folder of the first configuration stays in `sys.path`, for imports inside its functions."""
    put(tmp_path / "a" / "config" / f"{name}.py")
    put(tmp_path / "a" / "config" / f"{name}_other.py")
    load_in(tmp_path / "a" / "config", {"path": f"{name}.Thing"})
    with pytest.raises(ConfigError, match="or on PYTHONPATH"):
        load_in(tmp_path / "b" / "config", {"path": f"{name if before else f'{name}_other'}.Thing"})


def test_a_custom_inferer_is_looked_for_as_well(tmp_path: Path, name: str) -> None:
    path = tmp_path / "config" / "config_inference.json"
    path.parent.mkdir()
    path.write_text(json.dumps(lung(inferer=component(f"{name}.CustomInference", model_name="m"))))
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert str(caught.value) == (
        f'{path}: inferer.name: cannot import "{name}": no {name}.py in {path.parent} or in {tmp_path} or on '
        "PYTHONPATH (put it there)"
    )
    put(tmp_path / f"{name}.py", code="class CustomInference: pass\n")
    with pytest.raises(ConfigError, match=f'inferer.name: "{name}.CustomInference" is not an inferer'):
        load_config(path, {})
