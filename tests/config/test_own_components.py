"""Custom inferers and writers in a configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung

from gpu_infer.errors import ConfigError

MODULE = """
from gpu_infer.inferers.base import Inferer
from gpu_infer.transforms.arguments import Arguments, Integer
from gpu_infer.writers.base import Writer

class Mine(Inferer):
    name = "Mine"
    class Args(Arguments):
        passes: Integer = 1
    def infer(self, volume, model, backend):
        return volume

class Labels(Mine):
    name = "Labels"
    returns = "labels"

class Neither(Mine):
    returns = "masks"

class Takes(Mine):
    class Args(Arguments):
        slots: Integer = 1

class Unfinished(Inferer):
    pass

class Breaks(Mine):
    def __init__(self, **arguments):
        raise OSError("no licence")

class Surface(Writer):
    name = "Surface"
    class Args(Arguments):
        smooth: Integer = 0
    def file_names(self, name):
        return [f"{name}.stl"]
    def write(self, result, folder):
        return []

class TakesField(Surface):
    class Args(Arguments):
        field: Integer = 0
"""
SHARED = {"model_name": "m", "roi": [8, 8, 8], "batch_size": 3, "slots": 4, "ip": "host", "port": 1}


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_of_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_of_test", raising=False)


def writers(*entries: Any) -> dict[str, Any]:
    return lung(writers=list(entries))


@pytest.mark.parametrize("key", ["path", "name"])
def test_an_inferer_has_its_own_arguments_and_those_of_the_model(tmp_path: Path, key: str) -> None:
    config = load(tmp_path, lung(inferer={key: "mine_of_test.Mine", "args": {**SHARED, "passes": 2}}))
    spec, inferer = config.inferer, config.own_inferer
    assert (spec.kind, spec.name, spec.model_name, spec.address) == ("own", "Mine", "m", "host:1")
    assert (spec.roi_size, spec.batch_size, spec.slots) == ((8, 8, 8), 3, 4)
    assert inferer is not None
    assert (inferer.args.passes, inferer.place) == (2, f"{tmp_path}/config_inference.json: inferer: Mine")
    assert "2. inference: image -> model, by Mine, ArgmaxAcrossChannels" in config.pipeline().describe()


def test_a_dotted_name_of_the_original_is_the_built_in_inferer(tmp_path: Path) -> None:
    name = "ai4med.components.inferers.TRTISScanWindowInferer"
    config = load(tmp_path, lung(inferer={"name": name, "args": {"model_name": "m", "roi_size": [8, 8, 8]}}))
    assert (config.inferer.kind, config.inferer.name, config.own_inferer) == ("scan", "TRTISScanWindowInferer", None)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"path": "mine_of_test.Nine"},
            'inferer.path: module "mine_of_test" ({module}) has no "Nine"; did you mean "Mine"?',
        ),
        (
            {"path": "mine_of_test.Surface"},
            'inferer.path: "mine_of_test.Surface" is not an inferer (it must be a concrete subclass of Inferer from '
            "gpu_infer.inferers.base)",
        ),
        (
            {"path": "mine_of_test.Unfinished"},
            'inferer.path: "mine_of_test.Unfinished" is not an inferer (it must be a concrete subclass of Inferer from '
            "gpu_infer.inferers.base)",
        ),
        (
            {"path": "mine_of_test.Mine", "args": {"pases": 2}},
            'inferer.args: Mine has no argument "pases"; did you mean "passes"? (it takes passes)',
        ),
        (
            {"path": "mine_of_test.Mine", "args": {"mode": "monai"}},
            'inferer.args: Mine has no argument "mode" (it takes passes)',
        ),
        ({"path": "mine_of_test.Breaks"}, "inferer: Breaks cannot be made: OSError: no licence"),
        (
            {"path": "mine_of_test.Neither"},
            'inferer: Neither: returns: expected "scores" or "labels", found \'masks\' (fix the class)',
        ),
        (
            {"path": "mine_of_test.Takes"},
            "inferer: Takes: Args declares slots, which every inferer has (give the argument another name)",
        ),
        (
            {"path": "mine_of_test.Mine", "args": {"batch_size": 0}},
            "inferer.args.batch_size: expected a whole number of at least 1, found 0",
        ),
    ],
)
def test_refuses_an_inferer(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, lung(inferer=entry))
    for key, path in {"module": tmp_path / "mine_of_test.py", "folder": tmp_path, "parent": tmp_path.parent}.items():
        message = message.replace(f"{{{key}}}", str(path))
    assert str(caught.value) == f"{tmp_path}/config_inference.json: {message}"


def test_labels_need_an_argmax_to_replace(tmp_path: Path) -> None:
    post = [
        component("RestoreOriginalShape", field="model", src_field="image", is_label=False),
        component("ArgmaxAcrossChannels", fields="model"),
    ]
    load(tmp_path, lung(inferer={"path": "mine_of_test.Labels"}))
    load(tmp_path, lung(inferer={"path": "mine_of_test.Mine"}, post_transforms=post))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, lung(inferer={"path": "mine_of_test.Labels"}, post_transforms=post))
    assert str(caught.value) == (
        f"{tmp_path}/config_inference.json: inferer: Labels returns labels, which take the place of an argmax (begin "
        "post_transforms with ArgmaxAcrossChannels, or let the inferer return scores)"
    )


def test_a_mode_has_no_effect_on_a_custom_inferer(tmp_path: Path) -> None:
    config = load(tmp_path, lung(inferer={"path": "mine_of_test.Mine"}))
    config.inferer.check_options(roi_size=(8, 8, 8), batch_size=2, slots=3)
    with pytest.raises(ConfigError) as caught:
        config.inferer.check_options(mode="monai")
    assert str(caught.value) == "--mode monai: Mine places its windows itself (leave it out)"
    with pytest.raises(ConfigError) as caught:
        config.inferer.check_options(slab=False)
    assert str(caught.value) == "--no-slab: Mine has no accumulator (leave it out)"


def test_arguments_of_an_inferer_change_the_hash(tmp_path: Path) -> None:
    hashes = {
        load(tmp_path, lung(inferer={"path": f"mine_of_test.{name}", "args": {"passes": passes}})).hash()
        for name in ("Mine", "Labels")
        for passes in (1, 2)
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("key", ["path", "name"])
def test_a_writer_beside_that_of_the_label_map(tmp_path: Path, key: str) -> None:
    own = {key: "mine_of_test.Surface", "args": {"field": "model", "smooth": 3}}
    config = load(tmp_path, writers(component("WriteNifti", field="model", dtype="uint16"), own))
    assert [(output.field, str(output.dtype)) for output in config.outputs] == [("model", "uint16")]
    assert config.warnings == ()
    (writer,) = config.own_writers
    assert (writer.field, writer.writer.args.smooth) == ("model", 3)
    assert writer.writer.place == f"{tmp_path}/config_inference.json: writers[1]: Surface"
    assert config.hash() != load(tmp_path, writers(component("WriteNifti", field="model", dtype="uint16"))).hash()


def test_the_label_map_of_a_custom_writer_is_written_too(tmp_path: Path) -> None:
    config = load(tmp_path, writers({"path": "mine_of_test.Surface"}))
    assert [(output.field, str(output.dtype)) for output in config.outputs] == [("model", "uint8")]
    assert config.warnings == (
        f'{tmp_path}/config_inference.json: writers[0]: no other writer writes the label map of "model": it is written '
        "as uint8",
    )


def test_a_disabled_writer_is_not_imported(tmp_path: Path) -> None:
    nifti = component("WriteNifti", field="model", dtype="uint8")
    assert load(tmp_path, writers(nifti, {"path": "missing.Surface", "disabled": True})).own_writers == ()


def test_a_dotted_name_of_the_original_is_the_built_in_writer(tmp_path: Path) -> None:
    name = "ai4med.components.writers.WriteNifti"
    assert load(tmp_path, writers({"name": name, "args": {"field": "model", "dtype": "uint8"}})).own_writers == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"path": "missing_module.Surface"},
            'writers[0].path: cannot import "missing_module": no missing_module.py in {folder} or in {parent} or on '
            "PYTHONPATH (put it there)",
        ),
        (
            {"path": "mine_of_test.Mine"},
            'writers[0].path: "mine_of_test.Mine" is not a writer (it must be a concrete subclass of Writer from '
            "gpu_infer.writers.base)",
        ),
        (
            {"path": "mine_of_test.Surface", "args": {"dtype": "uint8"}},
            'writers[0].args: Surface has no argument "dtype" (it takes smooth)',
        ),
        (
            {"path": "mine_of_test.Surface", "args": {"field": "image"}},
            "writers[0].args.field: 'image' holds an image, expected labels to write (name one of model)",
        ),
        (
            {"path": "mine_of_test.TakesField"},
            "writers[0]: TakesField: Args declares field, which every writer has (read result.field instead)",
        ),
        ({"path": "mine_of_test.Surface", "ref": "a"}, "writers[0].ref: a writer is no reference (leave it out)"),
        (
            {"path": "mine_of_test.Surface", "arg": {}},
            'writers[0]: unknown key "arg"; did you mean "args"? (a component has name, path, args, disabled, ref)',
        ),
    ],
)
def test_refuses_a_writer(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, writers(entry))
    for key, path in {"module": tmp_path / "mine_of_test.py", "folder": tmp_path, "parent": tmp_path.parent}.items():
        message = message.replace(f"{{{key}}}", str(path))
    assert str(caught.value) == f"{tmp_path}/config_inference.json: {message}"
