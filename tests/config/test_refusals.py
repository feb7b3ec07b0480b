"""Files and transforms that are refused: one line, with file, key, what was found and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config_files import assert_refused, component, load, lung, pre

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


CASES: list[tuple[Any, str]] = [
    ('{"pre_transforms": [', "line 1, column 21: Expecting value (fix the JSON there)"),
    ('{\n  "a": 1,\n  "b" 2}', "line 3, column 7: Expecting ':' delimiter (fix the JSON there)"),
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
        "(it takes fields, is_label, interpolation, align_corners, clip, anti_aliasing, anti_aliasing_sigma, "
        "placement, target_resolution)",
    ),
    (raw({"name": RES, "args": []}), "pre_transforms[1].args: expected an object {…}, found []"),
    (raw({"name": RES, "args": [1]}), "pre_transforms[1].args: expected an object {…}, found [1]"),
    (raw({"name": RES, "disabled": "maybe"}), 'pre_transforms[1].disabled: expected true or false, found "maybe"'),
    (
        second(RES, fields="image", target_resolution=[0.8, 0.8]),
        "pre_transforms[1].args.target_resolution: expected 3 positive numbers, or null for the spacing of the file, "
        "found [0.8, 0.8]",
    ),
    (
        second(RES, fields="image", target_resolution=[0.8, 0.8, True]),
        "pre_transforms[1].args.target_resolution: expected 3 positive numbers, or null for the spacing of the file, "
        "found [0.8, 0.8, true]",
    ),
    (
        second(RES, fields="image", target_resolutoin=[0.8, 0.8, 5]),
        'pre_transforms[1].args: ScaleByResolution has no argument "target_resolutoin"; did you mean '
        '"target_resolution"? (and 1 more) (it takes fields, is_label, interpolation, align_corners, clip, '
        "anti_aliasing, anti_aliasing_sigma, placement, target_resolution)",
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
]


@pytest.mark.parametrize(("document", "message"), CASES, ids=[m[:60] for _, m in CASES])
def test_refuses(tmp_path: Path, document: Any, message: str) -> None:
    assert_refused(tmp_path, document, message)


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


def test_a_folder_above_the_configuration_has_it_in_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config_inference.json").write_text("{}")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    assert str(caught.value) == (
        f"{tmp_path}: is a folder without config_inference.json, expected that file or a folder with it "
        f"(give {tmp_path}/config)"
    )


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
    command = "import-bundle" if "MONAI" in kind else "import-nnunet"
    assert f"expected a config_inference.json (gpu-infer {command} FOLDER writes one for" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\ndef f(:\n", "line 2: SyntaxError: invalid syntax (fix that line)"),
        ("x = 1\n\nraise ValueError('odd')\n", "line 3: ValueError: odd (fix it there)"),
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
