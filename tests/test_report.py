"""report.json: docs/report.md lists every key of a run, with its type; and the sections by hand."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dicom_source
import nibabel as nib
import numpy as np
import pytest
import several_models
from cudasim.simulated import simulated_cupy
from dicom_source import AXIAL
from dicom_study import write_study
from operator_helpers import config, operate, write_nifti

from gpu_infer.config.config import Output
from gpu_infer.errors import ConfigError, ModelError, ServerError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.progress import Progress
from gpu_infer.report import PACKAGES, Report, label_volumes, output_sections, versions
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.label_maps import Files
from gpu_infer.writers.page import asset

PAGE = Path(__file__).parents[1] / "docs" / "report.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| [^|]*\| ([^|]+) \| [^|]*\|$", re.MULTILINE)
NAMES = {
    "stages": "<stage>",
    "labels": "<label>",
    "outputs[].labels": "<label>",
    "model.models[].labels": "<label>",
    "outputs[].statistics": "<label>",
    "points": "<name>",
    "tiles.mode_settings": "<setting>",
    "input.identity": "<keyword>",
}
"""Objects whose keys differ from run to run, and how the page writes these."""

SEVERAL: dict[str, Any] = {
    "mean": ["places3d", "classes3"],
    "union": [{"model_name": "classes5", "offset": 0}, {"model_name": "places3d", "offset": 4}],
}
"""Models of the reports of these names."""

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "list of strings": [str],
    "list of integers": [int],
    "list of numbers": [(int, float)],
    "list of lists": [list],
    "string or null": (str, type(None)),
    "integer or null": (int, type(None)),
    "number or null": (int, float, type(None)),
    "any": object,
}


def documented() -> dict[str, tuple[str, str]]:
    """Type and when by key."""
    return {key: (kind.strip(), when.strip()) for key, kind, when in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(key as the page writes it, value) of everything that is no object and no list of objects."""
    if isinstance(value, dict):
        for name, item in value.items():
            shown = "<package>" if key == "versions" and name in PACKAGES else NAMES.get(key, name)
            yield from leaves(item, f"{key}.{shown}" if key else shown)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from leaves(item, f"{key}[]")
    elif key not in ("triton.skipped", "output.files", "outputs[].files"):  # empty lists of objects
        yield key, value


def has_type(value: Any, kind: str) -> bool:
    if value is None and kind.endswith(" or null"):
        return True
    wanted = TYPES[kind] if kind in TYPES else TYPES[kind.removesuffix(" or null")]
    if isinstance(wanted, list):
        return isinstance(value, list) and all(isinstance(item, wanted[0]) for item in value)
    return isinstance(value, wanted) and (kind == "boolean" or kind == "any" or not isinstance(value, bool))


def content() -> dict[str, Any]:
    chosen = config("classes5", resolution=(1.2, 1.0, 1.0), roi_size=[12, 10, 8])
    points = {"name": "FetchExtremePoints", "args": {"image_field": "image", "label_field": "model"}}
    chosen["post_transforms"].append(points)
    chosen["labels"] = {"0": "background", "1": "one"}
    return chosen


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, triton_server: Any) -> dict[str, dict[str, Any]]:
    """Reports of runs that differ in what they record: on the CPU, on simulated CUDA, failed late and failed early."""
    root = tmp_path_factory.mktemp("reports")
    voxels = np.random.default_rng(3).integers(-1, 6, (23, 21, 18)).astype(np.int16)
    for name in ("cpu", "gpu", "late", "early", "unsent", "own", "mean", "union"):
        write_nifti(root / name / "input/case.nii", voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
    (root / "niivue.umd.js").write_bytes(asset.VIEWER_MARK)  # a checkout without npm has none
    (root / "niivue.licence.txt").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asset, "_VIEWER", root / "niivue.umd.js")
        series = dicom_source.write_study(root / "ct", (23, 21, 18), AXIAL, np.zeros(3), 1.0, PixelSpacing=[1, 1])
        dicom = {"dicom_seg": "auto", "dicom_reference": series}
        scores = {"scores": "1", "uncertainty": True, "scores_activation": "softmax"}
        options = {"publish": root / "publish", "preview": True, "statistics": True, **dicom, **scores}
        cpu = operate(root / "cpu", triton_server, content(), device="cpu", **options)
        with pytest.raises(ServerError, match="--send"):
            operate(root / "unsent", triton_server, content(), device="cpu", send="NOBODY@127.0.0.1:1", **dicom)
        contents = {"cpu": cpu.data, "own": _run_of_own(root / "own", triton_server, patch)}
    for name, entries in SEVERAL.items():
        several = several_models.content(entries, combine=name)
        contents[name] = operate(root / name, triton_server, several, device="cpu").data
    with simulated_cupy():
        contents["gpu"] = operate(
            root / "gpu", triton_server, content(), device="gpu", preview=True, statistics=True, **scores
        ).data
    places = dicom_source.irregular_places("tilted", 12)
    dicom_source.write_study(root / "tilted" / "input" / "ct", (23, 21, 12), places=places)
    contents["tilted"] = operate(
        root / "tilted", triton_server, content(), device="cpu", tilt="index", dicom_seg="auto"
    ).data
    write_study(root / "dicom" / "input")
    by_rule = config("threshold_half", roi_size=[4, 4, 4]) | {"series": "slices=8"}
    contents["dicom"] = operate(root / "dicom", triton_server, by_rule, device="cpu", with_identity=True).data
    with pytest.raises(ModelError):
        operate(root / "late", triton_server, config("fails", roi_size=[8, 8, 8]), device="cpu")
    with pytest.raises(ConfigError):
        operate(root / "early", triton_server, {"pre_transforms": 3}, device="cpu")
    for name in ("late", "early", "unsent"):
        contents[name] = _read(root / name / "logs" / "report.json")
    return contents


def _run_of_own(root: Path, server: Any, patch: pytest.MonkeyPatch) -> Any:
    """The report of the examples' custom inferer and writer."""
    examples = Path(__file__).parents[1] / "examples"
    for name in ("own_inferer", "own_writer"):
        patch.syspath_prepend(examples / name)
    chosen = content()
    chosen["inferer"] = {
        "path": "centre_windows.CentreWindows",
        "args": {"model_name": "classes5", "roi_size": [12, 10, 8], "margin": 2},
    }
    chosen["writers"].append({"path": "box_table.WriteBoxes"})
    return operate(root, server, chosen, device="cpu").data


def _read(path: Path) -> dict[str, Any]:
    import json

    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.slow
def test_the_page_lists_every_key_and_no_other(reports: dict[str, dict[str, Any]]) -> None:
    seen = {key for report in reports.values() for key, _ in leaves(report)}
    assert seen == set(documented())


@pytest.mark.slow
def test_values_have_the_types_of_the_page(reports: dict[str, dict[str, Any]]) -> None:
    types = {key: kind for key, (kind, _) in documented().items()}
    wrong = [
        (name, key, value)
        for name, report in reports.items()
        for key, value in leaves(report)
        if not has_type(value, types[key])
    ]
    assert not wrong


@pytest.mark.slow
def test_keys_are_there_when_the_page_says_so(reports: dict[str, dict[str, Any]]) -> None:
    keys = {name: {key for key, _ in leaves(report)} for name, report in reports.items()}
    rows = documented()

    def of(*whens: str) -> set[str]:
        return {key for key, (_, when) in rows.items() if when in whens}

    assert of("always") | of("failed") == keys["early"]
    scores = ("--scores", "--uncertainty", "--scores, --uncertainty")
    files = ("--publish", "--preview", "--statistics", "mhd", "a DICOM output", "labels.json")
    cpu = {key for key in keys["cpu"] if not key.startswith("triton.skipped")}
    assert of("always", "done", "built-in inferer", "FetchExtremePoints", *files, *scores) == cpu
    own = of("always", "done", "custom inferer", "custom writer", "FetchExtremePoints", "mhd", "labels.json")
    assert own - {"scores.maps[].name"} == {key for key in keys["own"] if not key.startswith("triton.skipped")}
    assert keys["dicom"] >= of("always", "done", "DICOM study", "--with-identity")
    label_maps = {key for key in rows if "files[]." in key and key.startswith("output")}
    assert keys["tilted"] >= of("always", "done", "--tilt index", "FetchExtremePoints") - label_maps
    assert keys["gpu"] >= of("always", "done", "GPU")
    for name in SEVERAL:
        assert keys[name] >= of("always", "done", "several models", f"combine {name}")
    assert not of("failed") & (keys["cpu"] | keys["gpu"])
    assert not of("GPU") & (keys["cpu"] | keys["late"])
    assert of("always") | of("failed") <= keys["late"]
    assert {when for _, when in rows.values()} == {
        *("always", "done", "failed", "GPU", "--publish", "FetchExtremePoints", "labels.json", "--preview", "--send"),
        *scores,
        *("--tilt index", "DICOM study", "--with-identity", "--statistics", "a DICOM output", "mhd"),
        *("a better transport did not work", "built-in inferer", "custom inferer", "custom writer"),
        *("several models", "combine mean", "combine union"),
    }


@pytest.mark.slow
def test_a_run_counts_its_labels_and_windows(reports: dict[str, dict[str, Any]]) -> None:
    report = reports["cpu"]
    assert sum(entry["voxels"] for entry in report["labels"].values()) == 23 * 21 * 18
    assert report["outputs"][0]["labels"] == report["labels"]
    assert report["tiles"]["inferred"] <= report["tiles"]["windows"]
    assert report["triton"]["requests"] == -(-report["tiles"]["inferred"] // report["tiles"]["batch"])
    assert (report["device"], report["tiles"]["accumulator"]) == ("cpu", "cpu")
    assert (reports["gpu"]["device"], reports["gpu"]["tiles"]["accumulator"]) == ("gpu", "gpu")
    assert reports["cpu"]["outputs"][0]["statistics"] == reports["gpu"]["outputs"][0]["statistics"]
    assert reports["late"]["plan"]["steps"] == []
    assert "tiles" not in reports["late"]


def test_a_stage_that_is_entered_twice_adds_up_and_emits_events() -> None:
    events: list[Progress] = []
    report = Report(events.append)
    for _ in range(2):
        with report.stage("read"):
            pass
    assert events == [Progress("read", 0, 1), Progress("read", 1, 1)] * 2
    assert list(report.data["stages"]) == ["read"]


def test_a_stage_that_fails_has_its_time_and_no_last_event() -> None:
    events: list[Progress] = []
    report = Report(events.append)
    with pytest.raises(ValueError, match="no"), report.stage("read"):
        raise ValueError("no")
    assert events == [Progress("read", 0, 1)]
    assert "read" in report.data["stages"]


def test_a_section_that_exists_is_extended_and_a_list_replaced() -> None:
    report = Report()
    report.add(input={"dtype": "int16", "channels": 1}, published=["a"])
    report.add(input={"dtype": "float32"}, published=[])
    assert report.data["input"] == {"dtype": "float32", "channels": 1}
    assert report.data["published"] == []


def test_a_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    report = Report()
    report.warn("new")
    report.add_warnings(("known",))
    assert report.data["warnings"] == ["new", "known"]
    assert [record.getMessage() for record in caplog.records] == ["new"]


def test_volumes_of_labels_by_hand() -> None:
    table = LabelTable({2: Label(2, "lung", (1, 2, 3))})
    assert label_volumes([7, 0, 3], 0.5, table) == {
        "0": {"voxels": 7, "ml": 3.5},
        "2": {"name": "lung", "colour": "#010203", "voxels": 3, "ml": 1.5},
    }


def test_outputs_by_hand() -> None:
    """Voxels of 2×3×4 mm, one axis reversed: 0.024 ml; a determinant has a sign, a volume none."""
    outputs = [Output("a", np.dtype(np.uint8)), Output("b", np.dtype(np.int16))]
    out = Path("/out")
    files: dict[str, Files] = {"a": {"mhd": [out / "a.mhd", out / "a.raw"], "nii.gz": [out / "a.nii.gz"]}}
    files["b"] = {"nrrd": [Path("b.nrrd")]}
    geometry = Geometry((10, 10, 10), np.diag([-2.0, 3.0, 4.0, 1.0]))
    sections = output_sections(outputs, files, {"a": [900, 100], "b": [0, 1000]}, geometry, LabelTable())
    both = [{"format": "mhd", "path": "/out/a.mhd"}, {"format": "nii.gz", "path": "/out/a.nii.gz"}]
    assert sections["output"] == {"mhd": "/out/a.mhd", "raw": "/out/a.raw", "files": both, "dtype": "uint8"}
    assert sections["outputs"][1]["files"] == [{"format": "nrrd", "path": f"{Path.cwd()}/b.nrrd"}]
    assert not {"mhd", "raw"} & sections["outputs"][1].keys()
    assert sections["labels"] == {"0": {"voxels": 900, "ml": 21.6}, "1": {"voxels": 100, "ml": 2.4}}
    assert [entry["field"] for entry in sections["outputs"]] == ["a", "b"]
    assert sections["outputs"][1]["labels"] == {"1": {"voxels": 1000, "ml": 24.0}}


def test_spacing_of_a_file_in_the_report(tmp_path: Path) -> None:
    from gpu_infer.report import input_section
    from gpu_infer.volume.read import read_header

    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([0.5, 2.0, 3.0, 1.0])), tmp_path / "a.nii")
    section = input_section(read_header([tmp_path / "a.nii"]))
    assert (section["shape"], section["spacing_mm"], section["format"]) == ([4, 5, 6], [0.5, 2.0, 3.0], "nifti")


def test_relative_paths_begin_at_the_folder_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_infer.report import input_section
    from gpu_infer.volume.read import read_header

    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    section = input_section(read_header([Path("../a.nii")]))
    assert (section["path"], section["files"]) == (f"{tmp_path}/below/../a.nii", [f"{tmp_path}/below/../a.nii"])


def test_the_platform_is_that_of_python() -> None:
    assert versions()["platform"] == platform.platform()
