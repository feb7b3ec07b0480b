"""Files of a bundle."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.files import inference_files, merged, read_document, read_inside
from gpu_infer.imports.bundle.metadata import OutputChannels, read_channels


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_json_counts_before_yaml(tmp_path: Path) -> None:
    yaml = write(tmp_path / "configs" / "inference.yaml", "a: [1, 2.5]\n")
    assert inference_files(tmp_path, ()) == [yaml]
    assert read_document(yaml) == {"a": [1, 2.5]}
    json = write(tmp_path / "configs" / "inference.json", "{}")
    assert inference_files(tmp_path, ()) == [json]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json: cannot be parsed"),
        ("a.yaml", "a: [", "a.yaml: cannot be parsed"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "a.yaml: cannot be parsed: could not determine a constructor"),
        ("a.json", "[]", "a.json: expected an object, found list"),
        ("a.txt", "{}", r"a.txt: expected a file \*.json, \*.yaml, \*.yml"),
    ],
)
def test_a_file_that_is_no_configuration_is_an_error_of_one_line(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_document(write(tmp_path / name, text))
    assert "\n" not in str(caught.value)


def test_yaml_needs_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(
        ConfigError, match=r"reading YAML needs the package pyyaml \(pip install 'gpu-infer\[bundles\]'\)"
    ):
        read_document(write(tmp_path / "a.yml", "a: 1"))


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"configs/inference.json: there is no such file \(give --config FILE, or"):
        inference_files(tmp_path, ())
    with pytest.raises(ConfigError, match=r"bundle.zip is not a folder \(unpack an archive first"):
        inference_files(tmp_path / "bundle.zip", ())


def test_later_files_replace_and_add(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", '{"a": [1], "b": {"x": 1, "y": 2}, "c": 3}')
    second = write(tmp_path / "b.json", '{"+a": [2], "+b": {"y": 5}, "c": 4, "+d": 6}')
    assert merged([first, second]) == {"a": [1, 2], "b": {"x": 1, "y": 5}, "c": 4, "d": 6}
    wrong = write(tmp_path / "c.json", '{"+a": {}}')
    with pytest.raises(ConfigError, match=r"c.json: \+a: expected a list or an object, as a of the file before it"):
        merged([first, wrong])


def test_a_macro_reads_no_file_outside_the_bundle(tmp_path: Path) -> None:
    write(tmp_path / "secret.json", "{}")
    write(tmp_path / "bundle" / "configs" / "a.json", '{"a": 1}')
    assert read_inside(tmp_path / "bundle", "configs/a.json") == {"a": 1}
    for name in ("../secret.json", str(tmp_path / "secret.json")):
        with pytest.raises(ConfigError, match="expected a file inside"):
            read_inside(tmp_path / "bundle", name)


@pytest.mark.parametrize("text", ["{}", '{"network_data_format": {"outputs": []}}'])
def test_metadata_need_not_name_channels(text: str, tmp_path: Path) -> None:
    assert read_channels(tmp_path / "none.json") == OutputChannels(None, {})
    assert read_channels(write(tmp_path / "metadata.json", text)) == OutputChannels(None, {})


def test_field_names_are_those_of_files_and_differ() -> None:
    channels = OutputChannels(4, {0: "Whole tumour", 1: "Whole/tumour", 2: "…"})
    assert channels.field_names() == ["Whole_tumour", "Whole_tumour_1", "channel_2", "channel_3"]


def test_a_number_of_channels_that_is_none_is_refused(tmp_path: Path) -> None:
    text = '{"network_data_format": {"outputs": {"pred": {"num_channels": 0}}}}'
    with pytest.raises(ConfigError, match=r"outputs.pred.num_channels: found 0, expected a number from 1 on"):
        read_channels(write(tmp_path / "metadata.json", text))
