"""The `inference` section of annotation servers: engines, order of channels, and names that have no counterpart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung, pre

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.errors import ConfigError

FIRST = component("ConvertToChannelsFirst", fields="image")
LAST = component("ConvertToChannelsLast", fields="image")


def section(**members: Any) -> dict[str, Any]:
    return lung(inferer=None, inference={"roi": [96, 96, 64], **members})


def nodes(source: str, result: str) -> dict[str, Any]:
    return {"input_nodes": {"image": source}, "output_nodes": {"model": result}}


def inferer(folder: Path, **members: Any) -> InfererSpec:
    return load(folder, section(**members)).inferer


@pytest.mark.parametrize(
    ("engines", "names"),
    [
        ({"tf": nodes("a", "b"), "trtis": {"max_batch_size": 1}}, ("a", "b")),
        ({"tf": nodes("a", "b"), "trtis": nodes("c", "d")}, ("c", "d")),
        ({"tf": nodes("a", "b"), "trtis": {"input": [{"name": "c"}], "output": [{"dims": [2]}]}}, ("c", "b")),
        ({"tf": nodes("a", "b"), "trtis": {}, "node_mapping": {"a": "image", "b": "model"}}, ("a", "b")),
        ({"tf": {}, "trtis": {}}, (None, None)),
    ],
)
def test_names_of_tensors_with_both_engines(
    tmp_path: Path, engines: dict[str, Any], names: tuple[str | None, str | None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        spec = inferer(tmp_path, **engines)
    assert (spec.input_name, spec.output_name) == names
    assert spec.name == "TRTISInference"
    assert "inference: trtis wins over tf, since Triton serves the model" in caplog.text


def test_what_describes_the_model_to_the_server_is_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trtis = {
        "platform": "tensorflow_graphdef",
        "max_batch_size": 8,
        "gpu_instance_count": 1,
        "input_channels": {"image": 1},
        "output_channels": {"model": 2},
        "channel_first": True,
    }
    with caplog.at_level("INFO"):
        spec = inferer(tmp_path, trtis=trtis, image_format="CDHW", image="image", batch_size=3)
    assert (spec.kind, spec.batch_size) == ("scan", 3)
    assert (
        "inference: image_format, trtis.platform, trtis.max_batch_size, trtis.gpu_instance_count, "
        "trtis.input_channels, trtis.output_channels: no effect, the server's own description of the model counts"
    ) in caplog.text


def test_a_window_has_no_effect_on_the_whole_volume(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        spec = inferer(tmp_path, scanning_window=False)
    assert (spec.kind, spec.roi_size) == ("simple", None)
    assert "inference.roi: no effect, because scanning_window is false" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        *("TRTISInference", "TFInference", "PTInference", "TritonInference", "PyTorchInference"),
        *("aiaa.inference.TFInference", "nvmidl.apps.aas.inference.TRTISInference"),
    ],
)
def test_names_of_built_in_inferences(tmp_path: Path, name: str) -> None:
    assert inferer(tmp_path, name=name).name == name.rpartition(".")[2]


@pytest.mark.parametrize("where", ["section", "args", "trtis"])
@pytest.mark.parametrize(
    ("conversions", "first", "chain"),
    [
        ([FIRST], True, ["ConvertToChannelsFirst"]),
        ([], True, []),
        ([LAST], False, ["ConvertToChannelsLast"]),
        ([FIRST], False, ["ConvertToChannelsFirst", "ConvertToChannelsLast"]),
        ([], "false", ["ConvertToChannelsLast"]),
        ([FIRST, LAST], True, ["ConvertToChannelsFirst", "ConvertToChannelsLast", "ConvertToChannelsFirst"]),
    ],
)
def test_channel_first_decides_the_order_of_the_models_axes(
    tmp_path: Path, where: str, conversions: list[Any], first: object, chain: list[str]
) -> None:
    members = {"channel_first": first} if where == "section" else {where: {"channel_first": first}}
    config = load(tmp_path, {**section(**members), "pre_transforms": pre(*conversions)})
    assert [transform.label for transform in config.pre[1:]] == chain


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"image": "scan"},
            'inference.image: found "scan", but the field that pre_transforms load is "image" (name the same field in '
            "both)",
        ),
        (
            {"name": "lib.union.UnionPipeline"},
            'inference.name: unknown inference "lib.union.UnionPipeline" (expected one of TRTISInference, TFInference, '
            "PTInference, TritonInference, PyTorchInference: own inferences and pipelines of a server are not",
        ),
        (
            {"name": "mine.TRTISInference"},
            'inference.name: unknown inference "mine.TRTISInference"; did you mean "TRTISInference"? (expected one of ',
        ),
        (
            {"trtis": {"input_channels": {"image": 1, "guidance": 2}}},
            "inference.trtis.input_channels: one input tensor is supported, found image, guidance",
        ),
        (
            {"trtis": nodes("a", "b"), "node_mapping": {"c": "image"}},
            "inference: one input tensor is supported, found a, c",
        ),
        (
            {"channel_first": True, "trtis": {"channel_first": False}},
            "inference.channel_first: found true, but trtis.channel_first is false (keep one)",
        ),
        (
            {"tf": {"input_nodes": {"image": None}}},
            "inference.tf.input_nodes.image: expected the name of a tensor, found null",
        ),
        (
            {"trtis": {"output": [{"name": 3}]}},
            "inference.trtis.output[0].name: expected the name of a tensor, found 3",
        ),
        (
            {"node_mapping": {"image": ["a"]}},
            'inference.node_mapping.image: expected the name of a tensor, found ["a"]',
        ),
        ({"channel_first": "yes"}, 'inference.channel_first: expected true or false, found "yes"'),
        (
            {"roi": [96, 0]},
            "inference.args.roi_size: expected 3 positive whole numbers, found [96, 0]",
        ),
    ],
)
def test_refusals(tmp_path: Path, members: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, section(**members))
    assert str(caught.value).startswith(f"{tmp_path}/config_inference.json: {message}")


def test_the_same_setting_twice_is_accepted_if_it_is_the_same(tmp_path: Path) -> None:
    assert inferer(tmp_path, args={"roi": [96, 96, 64]}).roi_size == (96, 96, 64)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("LoadPng", "2-D colour images are not supported, volumes are"),
        ("ai4med.components.transforms.load_png.LoadPng", "2-D colour images are not supported, volumes are"),
        ("LoadJpg", "2-D colour images are not supported, volumes are"),
        ("AddExtremePointsChannel", "needs points that a user sets in a viewer, which a run does not have"),
        ("CropByExtremePoints", "needs points that a user sets in a viewer, which a run does not have"),
        ("AddGuidanceSignal", "needs points that a user sets in a viewer, which a run does not have"),
    ],
)
def test_components_that_have_no_counterpart(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, lung(pre_transforms=[component(name, fields="image")]))
    where = f"{tmp_path}/config_inference.json: pre_transforms[0].name"
    assert str(caught.value).startswith(f"{where}: {name.rpartition('.')[2]}: {reason} (use a configuration for ")


@pytest.mark.parametrize("name", ["WritePng", "PngWriter", "ai4med.components.writers.write_jpg.WriteJpg"])
def test_writers_of_colour_images_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, lung(writers=None, writer=component(name, field="model")))
    assert str(caught.value) == (
        f"{tmp_path}/config_inference.json: writer.name: {name.rpartition('.')[2]}: 2-D colour images are not "
        "supported, volumes are (use a configuration for volumes)"
    )
