"""The lines that name the files and the labels of a run."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.app import RunResult
from gpu_infer.cli.label_lines import label_lines
from gpu_infer.cli.run import written


def test_dicom_files_are_listed_and_pictures_by_their_folder() -> None:
    out = Path("out")
    files = [out / "ct.seg.dcm", out / "ct.sc/0001.dcm", out / "ct.sc/0002.dcm"]
    result = RunResult(out / "ct.mhd", None, None, {}, label_maps=[out / "ct.mhd"], dicom=files)
    assert written(result) == ["labels   out/ct.mhd", "dicom    out/ct.seg.dcm", "dicom    out/ct.sc"]


def test_labels_have_a_line_each_with_name_and_volume() -> None:
    labels = {"0": {"ml": 9.0}, "1": {"name": "left kidney", "ml": 151.6}, "3": {"ml": 9.994}, "4": {"ml": 0.0}}
    assert label_lines({"outputs": [{"field": "model", "labels": labels}]}) == [
        "left kidney 152 ml",
        "label 3     9.994 ml",
        "label 4     less than 0.001 ml",
    ]


def test_labels_in_index_space_have_voxels() -> None:
    labels = {"0": {"voxels": 9, "ml": None}, "2": {"voxels": 7, "ml": None}}
    assert label_lines({"outputs": [{"field": "model", "labels": labels}]}) == ["label 2  7 voxels"]


def test_many_labels_are_counted() -> None:
    labels = {str(n): {"ml": float(n)} for n in range(15)}
    lines = label_lines({"outputs": [{"field": "model", "labels": labels}]})
    assert (len(lines), lines[0], lines[-1]) == (13, "label 1  1 ml", "… and 2 more")
    assert len(label_lines({"outputs": [{"field": "model", "labels": dict(list(labels.items())[:13])}]})) == 12


def test_label_maps_without_labels_and_several_of_them() -> None:
    empty, full = {"field": "a", "labels": {"0": {"ml": 1.0}}}, {"field": "b", "labels": {"1": {"ml": 20.2}}}
    assert label_lines({"outputs": [empty]}) == ["labels   none found: every voxel is 0"]
    assert label_lines({"outputs": [empty, full]}) == ["a: labels  none found: every voxel is 0", "b: label 1 20 ml"]
    assert label_lines({}) == []
