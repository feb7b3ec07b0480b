"""Files that an annotation server exports: one key per model, with flattened copies of its `inference` section."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError

NODES = {"input_nodes": {"image": "NV_MODEL_INPUT"}, "output_nodes": {"model": "NV_MODEL_OUTPUT"}}


def model(threshold: float = 0.5, **changes: Any) -> dict[str, Any]:
    """The exported configuration of one model."""
    section = {"image": "image", "roi": [96, 96, 64], "batch_size": 1, "scanning_window": True, "tf": NODES}
    document = lung(
        inferer=None,
        writers=None,
        version="2",
        type="segmentation",
        labels=["heart"],
        inference=section,
        post_transforms=[component("ThresholdValues", fields="model", threshold=threshold)],
        writer=component("WriteNifti", field="model", dtype="uint8"),
        inference_roi=[96, 96, 64],
        inference_tf=NODES,
        inference_tf_input_nodes=NODES["input_nodes"],
        inference_trtis_platform="tensorflow_graphdef",
        inference_padding=None,
    )
    return {**document, **changes}


def load_exported(folder: Path, document: dict[str, Any], name: str | None = None) -> Config:
    path = folder / "config_inference.json"
    path.write_text(json.dumps(document))
    return load_config(path, {}, model=name)


def threshold(config: Config) -> object:
    return config.post[0].args.model_dump()["threshold"]


def test_one_model_needs_no_choice_and_its_key_is_its_name(tmp_path: Path) -> None:
    config = load(tmp_path, {"heart_v1": model()})
    inferer = config.inferer
    assert (inferer.model_name, inferer.kind, inferer.roi_size) == ("heart_v1", "scan", (96, 96, 64))
    assert (inferer.input_name, inferer.output_name) == ("NV_MODEL_INPUT", "NV_MODEL_OUTPUT")
    assert set(config.extra) == {"version", "type"}
    assert config.labels[1].name == "heart"
    assert config.warnings == ()


def test_another_name_on_the_server_is_no_choice_among_one(tmp_path: Path) -> None:
    assert threshold(load_exported(tmp_path, {"heart_v1": model(0.25)}, "heart_on_triton")) == 0.25


def test_a_model_name_in_args_beats_the_key(tmp_path: Path) -> None:
    document = model()
    document["inference"]["args"] = {"model_name": "inside"}
    assert load(tmp_path, {"heart_v1": document}).inferer.model_name == "inside"


@pytest.mark.parametrize(("name", "value"), [("a", 0.25), ("b", 0.75)])
def test_the_option_chooses_among_several(tmp_path: Path, name: str, value: float) -> None:
    document = {"a": model(0.25), "b": model(0.75)}
    config = load_exported(tmp_path, document, name)
    assert (threshold(config), config.inferer.model_name) == (value, name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "has configurations of 2 models: lung_v1, heart_v1 (choose one with --model)"),
        (
            "hart_v1",
            'has no model "hart_v1"; did you mean "heart_v1"? (--model chooses one of lung_v1, heart_v1)',
        ),
    ],
)
def test_several_models_without_a_choice(tmp_path: Path, name: str | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_exported(tmp_path, {"lung_v1": model(), "heart_v1": model()}, name)
    assert str(caught.value) == f"{tmp_path}/config_inference.json: {message}"


def test_an_error_names_the_model(tmp_path: Path) -> None:
    document = {"a": model(), "b": model(post_transforms=[component("Argmax", fields="model")])}
    assert threshold(load_exported(tmp_path, document, "a")) == 0.5
    with pytest.raises(
        ConfigError, match=r'config_inference.json: b.post_transforms\[0\].name: unknown transform "Arg'
    ):
        load_exported(tmp_path, document, "b")


def test_an_error_in_the_labels_names_the_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config_inference.json: a.labels\[0\]: expected a name or an object"):
        load(tmp_path, {"a": model(labels=[3])})


def test_a_key_that_is_no_model_has_no_effect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        load(tmp_path, {"heart_v1": model(), "exported_by": "a server"})
    assert "the key 'exported_by' has no effect" in caplog.text
    assert "the configuration of the model 'heart_v1' is used" in caplog.text


def test_a_model_may_have_the_name_train(tmp_path: Path) -> None:
    assert load(tmp_path, {"train": model()}).inferer.model_name == "train"


def test_names_of_a_list_describe_no_masks(tmp_path: Path) -> None:
    """Every mask has the label 1, but a list has a name for each of them."""
    chain = [
        component("ThresholdAcrossChannels", fields="model", threshold=0.5),
        component("SplitAcrossChannels", field="model", channel_names=["core", "whole"]),
    ]
    names = ["tumour core", "whole tumour"]
    document = model(post_transforms=chain, labels=names, writer=component("W", field="whole", dtype="uint8"))
    config = load(tmp_path, {"brain": document})
    assert not config.labels.described
    assert config.warnings == (
        f'{tmp_path}/config_inference.json: labels: the names are not used, because "whole" is a mask: its label 1 is '
        "not the first of several names",
    )
    (tmp_path / "labels.json").write_text('{"1": "any tumour"}')
    assert load(tmp_path, {"brain": document}).labels[1].name == "any tumour"
    argmax = model(post_transforms=[component("ArgmaxAcrossChannels", fields="model")], labels=names)
    assert load(tmp_path, {"brain": argmax}).labels[2].name == "whole tumour"


# -- flattened copies -------------------------------------------------------------------------------------------------
def flat(section: dict[str, Any], **copies: Any) -> dict[str, Any]:
    return lung(inferer=None, inference=section, **copies)


def test_a_copy_gives_what_the_section_lacks(tmp_path: Path) -> None:
    copies = {
        "inference_roi": [80, 80, 32],
        "inference_scanning_window": True,
        "inference_batch_size": 2,
        "inference_tf_input_nodes": {"image": "in"},
        "inference_trtis": {"output_nodes": {"model": "out"}},
    }
    for section in ({}, {"roi": None}, None):
        inferer = load(tmp_path, flat({}, **copies) if section is None else flat(section, **copies)).inferer
        assert (inferer.kind, inferer.roi_size, inferer.batch_size) == ("scan", (80, 80, 32), 2)
        assert (inferer.input_name, inferer.output_name) == ("in", "out")


def test_copies_alone_are_a_section(tmp_path: Path) -> None:
    inferer = load(tmp_path, lung(inferer=None, inference_roi=[80, 80, 32])).inferer
    assert (inferer.kind, inferer.roi_size) == ("scan", (80, 80, 32))


def test_a_copy_of_a_setting_in_args_is_the_same_setting(tmp_path: Path) -> None:
    inferer = load(tmp_path, flat({"args": {"roi": [8, 8, 8]}}, inference_roi=[8, 8, 8])).inferer
    assert inferer.roi_size == (8, 8, 8)


@pytest.mark.parametrize(
    ("section", "copies", "message"),
    [
        (
            {"roi": [8, 8, 8]},
            {"inference_roi": [8, 8, 16]},
            "inference_roi: found [8, 8, 16], but inference.roi is [8, 8, 8] (make both the same, or remove one)",
        ),
        (
            {"args": {"roi": [8, 8, 8]}},
            {"inference_roi": [8, 8, 16]},
            "inference_roi: found [8, 8, 16], but inference.args.roi is [8, 8, 8] (make both the same, or remove one)",
        ),
        (
            {"tf": NODES},
            {"inference_tf_output_nodes": {"model": "other"}},
            'inference_tf_output_nodes: found {"model": "other"}, but inference.tf.output_nodes is {"model": '
            '"NV_MODEL_OUTPUT"} (make both the same, or remove one)',
        ),
        (
            {"roi": [8, 8, 8]},
            {"inference_padding": 20},
            "inference.padding: found 20: models that get the extreme points of a user are not supported (use a model "
            "for segmentation)",
        ),
    ],
)
def test_a_copy_that_contradicts_the_section(tmp_path: Path, section: Any, copies: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, flat(section, **copies))
    assert str(caught.value) == f"{tmp_path}/config_inference.json: {message}"
