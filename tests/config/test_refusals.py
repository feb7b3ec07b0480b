"""Everything that a configuration can get wrong: one line, with file, key, what was found and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung, pre

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.registry import TRANSFORMS

RES = "ScaleByResolution"
SUPPORTED = ", ".join(TRANSFORMS)
OWN_FILE = Path(__file__).resolve().parents[1] / "support" / "own_components.py"


def second(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """The lung configuration with one component after LoadNifti."""
    return lung(pre_transforms=pre(component(*args, **kwargs)))


def raw(entry: Any) -> dict[str, Any]:
    return lung(pre_transforms=pre(entry))


def inferer(**args: Any) -> dict[str, Any]:
    return lung(inferer=component("TRTISScanWindowInferer", **args))


CASES: list[tuple[Any, str]] = [
    ('{"pre_transforms": [', "line 1, column 21: Expecting value (mend the JSON there)"),
    ('{\n  "a": 1,\n  "b" 2}', "line 3, column 7: Expecting ':' delimiter (mend the JSON there)"),
    ('{"a": 1, "a": 2}', 'the key "a" stands twice in one object'),
    ('{"batch_size": NaN}', "NaN is not a JSON number"),
    ("[1, 2]", "expected an object {…}, found [1, 2]"),
    (
        lung(batch_size=0),
        "batch_size: expected 1, one volume per run, found 0 (windows per request are inferer.args.batch_size)",
    ),
    (lung(pre_transforms=None), "pre_transforms: is missing (list the components, or [] for none)"),
    (lung(pre_transforms={}), "pre_transforms: expected a list of components, found {}"),
    (lung(pre_transforms=[]), "pre_transforms: nothing loads the volume (begin with LoadNifti)"),
    (raw("ScaleBySpacing"), 'pre_transforms[1]: expected an object {…}, found "ScaleBySpacing"'),
    (
        raw({"args": {}}),
        'pre_transforms[1]: expected a component with "name" or "path" ({"name": "LoadNifti", "args": {…}})',
    ),
    (raw({"name": 3}), "pre_transforms[1].name: expected a non-empty string, found 3"),
    (
        raw({"name": RES, "arg": {}}),
        'pre_transforms[1]: unknown key "arg"; did you mean "args"? (a component has name, path, args, disabled, ref)',
    ),
    (
        raw({"name": RES, "args": None}),
        'pre_transforms[1].args: ScaleByResolution needs the argument "fields" (and 1 more) '
        "(it takes fields, is_label, interpolation, align_corners, clip, placement, target_resolution)",
    ),
    (raw({"name": RES, "args": []}), "pre_transforms[1].args: expected an object {…}, found []"),
    (raw({"name": RES, "args": [1]}), "pre_transforms[1].args: expected an object {…}, found [1]"),
    (raw({"name": RES, "disabled": "maybe"}), 'pre_transforms[1].disabled: expected true or false, found "maybe"'),
    (
        second(RES, fields="image", target_resolution=[0.8, 0.8]),
        "pre_transforms[1].args.target_resolution: expected 3 positive numbers, found [0.8, 0.8]",
    ),
    (
        second(RES, fields="image", target_resolution=[0.8, 0.8, True]),
        "pre_transforms[1].args.target_resolution: expected 3 positive numbers, found [0.8, 0.8, true]",
    ),
    (
        second(RES, fields="image", target_resolutoin=[0.8, 0.8, 5]),
        'pre_transforms[1].args: ScaleByResolution has no argument "target_resolutoin"; did you mean '
        '"target_resolution"? (and 1 more) (it takes fields, is_label, interpolation, align_corners, clip, placement, '
        "target_resolution)",
    ),
    (
        second("ScaleIntensityRange", fields="image", a_min="low", a_max=1, b_min=0, b_max=1),
        'pre_transforms[1].args.a_min: expected a finite number, found "low"',
    ),
    (
        second("ScaleIntensityRange", fields="image", a_min=1, a_max=1, b_min=0, b_max=1),
        "pre_transforms[1].args.a_max: expected a number other than a_min, by whose distance it divides, found 1",
    ),
    (
        second("CopyProperties", fields="image", from_field="image", properties=["afine"]),
        'pre_transforms[1].args.properties: unknown property "afine"; did you mean "affine"? known: affine, '
        "original_affine, as_canonical, spacing, original_shape, filename",
    ),
    (
        second("ScaleByResolutoin"),
        'pre_transforms[1].name: unknown transform "ScaleByResolutoin"; did you mean "ScaleByResolution"? '
        f"(supported: {SUPPORTED})",
    ),
    (second("Qwertz"), f'pre_transforms[1].name: unknown transform "Qwertz" (supported: {SUPPORTED})'),
    (
        second("KeepLargestCC", fields="image", labels=[1]),
        'pre_transforms[1].args: KeepLargestCC has no argument "labels"; did you mean "applied_labels"? (it takes '
        "fields, connectivity, applied_labels, independent)",
    ),
    (
        second("KeepLargestCC", fields="image", connectivity=6),
        "pre_transforms[1].args.connectivity: expected 1 (faces), 2 (edges too) or 3 (corners too), found 6",
    ),
    (
        second("KeepLargestCC", fields="image"),
        "pre_transforms[1]: KeepLargestCC: works on labels, 'image' holds an image",
    ),
    (
        second("CropForegroundObject", fields="image", image_field="image"),
        'pre_transforms[1].args: "image_field" and "fields" are the same argument: keep one',
    ),
    (
        second("RandomAxisFlip"),
        "pre_transforms[1].name: RandomAxisFlip belongs to training (leave it out of the inference configuration)",
    ),
    (
        second(RES, fields="imag", target_resolution=[1, 1, 1]),
        "pre_transforms[1]: ScaleByResolution: args.fields: unknown field 'imag'; did you mean 'image'? known: image "
        "(name one of these, or put the transform that makes the field before it)",
    ),
    (
        second("ScaleIntensityRange", fields="image", a_min="{LOW}", a_max=1, b_min=0, b_max=1),
        "pre_transforms[1].args.a_min: {LOW} is not set in the environment (set LOW, or write the value itself)",
    ),
    (raw({"ref": "x"}), 'pre_transforms[1].ref: no earlier component has the alias "x" (aliases so far: none)'),
    (raw({"ref": "x", "args": {}}), 'pre_transforms[1]: a reference has no "args" (write {"ref": "alias"} alone)'),
    (
        lung(pre_transforms=pre({"name": "A#x", "disabled": True}, {"ref": "x"})),
        'pre_transforms[2].ref: the component "x" is disabled (disable the reference too)',
    ),
    (
        lung(
            pre_transforms=pre(
                component("ConvertToChannelsFirst#c", fields="image"),
                component("ConvertToChannelsLast#c", fields="image"),
            )
        ),
        'pre_transforms[2].name: the alias "c" is taken already (choose another)',
    ),
    (
        raw({"path": "no_such_module_here.Thing"}),
        'pre_transforms[1].path: cannot import "no_such_module_here": no no_such_module_here.py in {folder} or in '
        "{parent} or on PYTHONPATH (put it there)",
    ),
    (
        raw({"name": "own_components.Tims"}),
        f'pre_transforms[1].name: module "own_components" ({OWN_FILE}) has no "Tims"; did you mean "Times"?',
    ),
    (
        raw({"path": "Times"}),
        'pre_transforms[1].path: expected a dotted name such as "package.module.Class", found "Times"',
    ),
    (
        raw({"path": "own_components.NotOne"}),
        'pre_transforms[1].path: "own_components.NotOne" is not a transform (it must be a concrete subclass of '
        "Pointwise, Regrid or Barrier from gpu_infer.transforms.base)",
    ),
    (
        raw({"path": "own_components.Unfinished", "args": {"fields": "image"}}),
        'pre_transforms[1].path: "own_components.Unfinished" is not a transform (it must be a concrete subclass of '
        "Pointwise, Regrid or Barrier from gpu_infer.transforms.base)",
    ),
    (
        raw({"path": "own_components.Breaks", "args": {"fields": "image", "factor": 1}}),
        "pre_transforms[1]: Breaks cannot be made: RuntimeError: no licence",
    ),
    (
        raw({"path": "own_components.Times", "args": {"fields": "image", "facto": 1}}),
        'pre_transforms[1].args: Times has no argument "facto"; did you mean "factor"? (and 1 more) (it takes fields, '
        "factor)",
    ),
    (
        lung(post_transforms=[]),
        "post_transforms: no transform turns the scores in 'model' into labels (add ArgmaxAcrossChannels, or "
        "ThresholdValues for a model with one output channel)",
    ),
    (lung(inferer=None), 'inferer: is missing ({"name": "TRTISScanWindowInferer", "args": {"model_name": …}})'),
    (lung(inferer={"name": "TRTISSimpleInferer", "disabled": True}), "inferer: is disabled (a run needs one)"),
    (lung(inference={}), '"inferer" and "inference" exclude each other (keep one)'),
    (
        lung(inferer=component("SlidingWindow")),
        'inferer.name: unknown inferer "SlidingWindow" (expected a name that ends with ScanWindowInferer, '
        "ScanningWindowInferer, SimpleInferer, or the dotted name of a custom inferer)",
    ),
    (
        inferer(modelname="m"),
        'inferer.args: TRTISScanWindowInferer has no argument "modelname"; did you mean "model_name"? (it takes '
        "model_name, model_version, ip, port, protocol, batch_size, roi_size, mode, overlap, step_size, blend, "
        "sigma_scale, mirror_axes, cval, output_type, slots, axes, slice_axis, context, input_name, output_name)",
    ),
    (inferer(port=0), "inferer.args.port: expected a port from 1 to 65535, found 0"),
    (inferer(protocol="https"), 'inferer.args.protocol: expected "HTTP" or "GRPC", found "https"'),
    (
        inferer(axes="ZYZ"),
        'inferer.args.axes: expected X, Y and Z in the order of the model\'s tensors, such as "ZYX", or two of them, '
        'found "ZYZ"',
    ),
    (inferer(context=-1), "inferer.args.context: expected a number of slices, 0 to 64, found -1"),
    (inferer(slice_axis="W"), 'inferer.args.slice_axis: expected X, Y or Z, found "W"'),
    (
        inferer(axes="XY", slice_axis="x"),
        "inferer.args: axes XY are those of slices, and slice_axis X is one of them (leave slice_axis out: slices with "
        "these axes are across Z)",
    ),
    (inferer(mode="x"), 'inferer.args.mode: expected clara, monai or nnunet, found "x"'),
    (inferer(overlap=0.5), "inferer.args: overlap belongs to mode monai, not to clara (clara takes cval)"),
    (
        inferer(mode="monai", mirror_axes=[0]),
        "inferer.args: mirror_axes belongs to mode nnunet, not to monai (monai takes overlap, blend, sigma_scale, "
        "cval)",
    ),
    (
        inferer(mode="nnunet", overlap=0.5),
        "inferer.args: overlap belongs to mode monai, not to nnunet (nnunet takes step_size, blend, sigma_scale, "
        "mirror_axes, cval)",
    ),
    (
        inferer(blend="gaussian"),
        "inferer.args: blend belongs to mode monai and nnunet, not to clara (clara takes cval)",
    ),
    (inferer(mode="monai", blend="linear"), 'inferer.args.blend: expected constant or gaussian, found "linear"'),
    (
        inferer(mode="monai", overlap=1),
        "inferer.args: overlap: found [1.0, 1.0, 1.0] (expected at least 0 and below 1)",
    ),
    (
        inferer(mode="monai", overlap=[0.5, 0.5]),
        "inferer.args.overlap: expected a number, or 3 of them, found [0.5, 0.5]",
    ),
    (inferer(mode="monai", overlap="x"), 'inferer.args.overlap: expected a number, or 3 of them, found "x"'),
    (
        inferer(mode="monai", overlap=[0.5, True, "x"], port="x"),
        'inferer.args.port: expected a port from 1 to 65535, found "x" (and 1 more)',
    ),
    (inferer(port=True), "inferer.args.port: expected a port from 1 to 65535, found true"),
    (inferer(port="8_000"), 'inferer.args.port: expected a port from 1 to 65535, found "8_000"'),
    (inferer(port="+80"), 'inferer.args.port: expected a port from 1 to 65535, found "+80"'),
    (inferer(port=65536), "inferer.args.port: expected a port from 1 to 65535, found 65536"),
    (inferer(mode="\udcff"), 'inferer.args.mode: expected text in UTF-8, found "\\udcff"'),
    (inferer(slots=257), "inferer.args.slots: expected at most 256, found 257"),
    (
        inferer(mode="nnunet", mirror_axes=[0, True, 1.0]),
        "inferer.args.mirror_axes: expected a list of axes, 0 (X), 1 (Y) or 2 (Z), found [0, true, 1.0]",
    ),
    (
        inferer(mode="monai", sigma_scale=0.2),
        "inferer.args: sigma_scale changes nothing with blend constant (set blend to gaussian, or leave it out)",
    ),
    (inferer(mode="nnunet", step_size=0), "inferer.args: step_size: found 0 (expected above 0 and at most 1)"),
    (
        inferer(mode="nnunet", mirror_axes="x"),
        'inferer.args.mirror_axes: expected a list of axes, 0 (X), 1 (Y) or 2 (Z), found "x"',
    ),
    (
        inferer(mode="nnunet", mirror_axes=[3]),
        "inferer.args: mirror_axes: found [3] (expected 0 (X), 1 (Y) and 2 (Z), each once at most)",
    ),
    (
        lung(inferer=component("TRTISSimpleInferer", mode="monai", overlap=0.5)),
        "inferer.args: mode monai, overlap: TRTISSimpleInferer sends the whole volume in one request and has no "
        "windows (leave it out, or use a scanning-window inferer)",
    ),
    (
        lung(inferer=component("TRTISSimpleInferer", roi_size=[96, 96, 96])),
        "inferer.args: roi_size: TRTISSimpleInferer sends the whole volume in one request and has no windows (leave "
        "it out, or use a scanning-window inferer)",
    ),
    (
        lung(inferer=component("TFSimpleInferer", roi=[96, 96, 96], batch_size=2, slots=2, cval=1)),
        "inferer.args: roi_size, batch_size, slots, cval: TFSimpleInferer sends the whole volume in one request and "
        "has no windows (leave it out, or use a scanning-window inferer)",
    ),
    (inferer(output_type="CLASS"), 'inferer.args.output_type: expected "RAW", the only kind of output, found "CLASS"'),
    (inferer(batch_size=0), "inferer.args.batch_size: expected a whole number of at least 1, found 0"),
    (inferer(roi_size=[96, 0]), "inferer.args.roi_size: expected 3 positive whole numbers, found [96, 0]"),
    (
        inferer(roi_size=[9, 9, 9], roi=[9, 9, 9]),
        'inferer.args: "roi" and "roi_size" are the same argument (keep one)',
    ),
    (inferer(ip="a", server_ip="b"), 'inferer.args: "ip" and "server_ip" are the same argument (keep one)'),
    (
        inferer(model_version="latest"),
        'inferer.args.model_version: expected a version number, or -1 for the latest, found "latest"',
    ),
    (
        lung(inferer=None, inference={"rio": [1, 1, 1]}),
        'inference: unknown key "rio"; did you mean "roi"? (it takes roi, batch_size, scanning_window, '
        "channel_first, name, args, image, node_mapping, tf, trtis, image_format, additional_info)",
    ),
    (
        lung(inferer=None, inference={"roi": [1, 1, 1], "args": {"roi": [2, 2, 2]}}),
        "inference.roi: stands in args as well (keep one)",
    ),
    (
        lung(inferer=None, inference={"scanning_window": 3}),
        "inference.scanning_window: expected true or false, found 3",
    ),
    (
        lung(inferer=None, inference={"tf": {"output_nodes": {"a": "x", "b": "y"}}}),
        "inference: one output tensor is supported, found x, y",
    ),
    (lung(writer={}), '"writers" and "writer" exclude each other (keep one)'),
    (lung(writers={}), "writers: expected a list of components, found {}"),
    (
        lung(writers=[component("W", dtype="float32")]),
        'writers[0].args.dtype: expected one of uint8, uint16, uint32, int8, int16, int32, found "float32"',
    ),
    (
        lung(writers=[component("W", dtypes="float")]),
        'writers[0].args.dtypes: expected one of uint8, uint16, uint32, int8, int16, int32, found "float"',
    ),
    (
        lung(writers=[component("W", dtypes=["uint8", "uint16"])]),
        'writers[0].args.dtypes: expected one of uint8, uint16, uint32, int8, int16, int32, found ["uint8", "uint16"]',
    ),
    (
        lung(writers=[component("W", dtype="uint8", dtypes="uint16")]),
        'writers[0].args: "dtype" and "dtypes" are the same argument (keep one)',
    ),
    (
        lung(writers=[component("W", field="modle")]),
        "writers[0].args.field: unknown field 'modle'; did you mean 'model'? known: image, model",
    ),
    (
        lung(writers=[component("W", field="image")]),
        "writers[0].args.field: 'image' holds an image, expected labels to write (name one of model)",
    ),
    (
        lung(writers=[component("W", field=["model"])]),
        'writers[0].args.field: expected the name of a field, found ["model"]',
    ),
    (
        lung(writers=[component("W", dtype="uint8"), component("V", field="model")]),
        'writers[1].args.field: "model" is written already (give every writer another field)',
    ),
    (
        lung(
            post_transforms=[
                component("SplitAcrossChannels", field="model", channel_names=["a", "b"]),
                component("ThresholdValues", fields="a", threshold=0.5),
            ],
            writers=[component("W", field="a"), component("W", field="b")],
        ),
        "post_transforms: no transform turns the scores in 'b' into labels (add ArgmaxAcrossChannels, or "
        "ThresholdValues for a model with one output channel)",
    ),
    (
        lung(
            post_transforms=[
                component("ArgmaxAcrossChannels", fields="model"),
                component("SplitBasedOnLabel", field="model", label_names=["rest", "lobe/left"]),
            ],
            writers=[component("W", field="rest"), component("W", field="lobe/left")],
        ),
        'writers[1].args.field: "lobe/left" cannot be part of a file name (give the field another name)',
    ),
    (
        lung(post_transforms=[component("ThresholdAcrossChannels", fields="model", threshold=[0.5, 0.4])]),
        "post_transforms: leave 2 channels in 'model', expected 1 (make one label map of them with "
        "ArgmaxAcrossChannels, or one field of each with SplitAcrossChannels, and name the fields in writers)",
    ),
]


@pytest.mark.parametrize(("document", "message"), CASES, ids=[m[:60] for _, m in CASES])
def test_refuses(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, document)
    expected = message.replace("{folder}", str(tmp_path)).replace("{parent}", str(tmp_path.parent))
    assert str(caught.value) == f"{tmp_path}/config_inference.json: {expected}"
    assert "\n" not in str(caught.value)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert str(caught.value) == f"{path}: no such file (give the path of a config_inference.json)"


def test_refuses_a_folder_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    words = f"^{tmp_path}: is a folder without config_inference.json, expected that file or a folder with it"
    with pytest.raises(ConfigError, match=words):
        load_config(tmp_path, {})
    path = tmp_path / "c.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match=r"c.json: is not UTF-8 text \(byte 7\)"):
        load_config(path, {})


def test_a_nesting_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, '{"a":' * 100_000)


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nrrd"])
def test_a_volume_is_no_configuration(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x1f\x8b")
    with pytest.raises(ConfigError, match=f"^{path}: has the name of a volume, expected a config_inference.json"):
        load_config(path, {})


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"network_def": {"_target_": "UNet"}, "preprocessing": {}}, "the configuration of a MONAI bundle"),
        (
            {"inferer": {"_target_": "SlidingWindowInferer"}},
            "the configuration of a MONAI bundle",
        ),
        ({"monai_version": "1.3.0", "network_data_format": {}}, "the metadata of a MONAI bundle"),
        ({"plans_name": "nnUNetPlans", "configurations": {}}, "nnU-Net plans"),
        ({"labels": {"background": 0}, "channel_names": {}, "file_ending": ".nii.gz"}, "the dataset.json of nnU-Net"),
    ],
)
def test_configurations_of_other_frameworks_are_named(tmp_path: Path, document: Any, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, json.dumps(document))
    assert f"looks like {kind}" in str(caught.value)
    assert "expected a config_inference.json (docs/from-monai-deploy.md shows a translation)" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\ndef f(:\n", "line 2: SyntaxError: invalid syntax (mend that line)"),
        ("x = 1\n\nraise ValueError('odd')\n", "line 3: ValueError: odd (mend it there)"),
        ("import no_such_library\n", "line 1: No module named 'no_such_library' (install no_such_library, or put it"),
    ],
)
def test_a_mistake_in_a_module_has_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    (tmp_path / "faulty_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, json.dumps(raw({"path": "faulty_module.Thing"})))
    where = f"{tmp_path}/faulty_module.py, "
    assert f'pre_transforms[1].path: cannot import "faulty_module": {where}{words}' in str(caught.value)
