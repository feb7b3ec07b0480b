"""Outputs of earlier runs are no cases; files of other programs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from case_files import ids, options, refused, touch, write_labels, write_report

from gpu_infer.batch.cases.earlier import is_output_folder
from gpu_infer.choices import Format
from gpu_infer.writers.own_volumes import own_volumes


@pytest.mark.parametrize("form", [form for form in get_args(Format) if form != "mhd"])
def test_a_label_map_with_our_mark_is_an_output(tmp_path: Path, form: Format) -> None:
    (path,) = write_labels(tmp_path, "a", form)
    other = sitk.ReadImage(path) if form not in ("nii", "nii.gz") else nib.load(path)
    copy = tmp_path / f"b.{form}"
    if form in ("nii", "nii.gz"):
        nib.save(nib.Nifti1Image(np.asarray(other.dataobj) * 2, other.affine), copy)
    else:
        sitk.WriteImage(other * 2, copy)
    assert own_volumes([path, copy]) == {path}
    assert ids(tmp_path, options(tmp_path)) == ["b" if form != "seg.nrrd" else "b.seg"]


def test_a_plain_metaimage_is_an_output_if_the_report_lists_it(tmp_path: Path) -> None:
    (path,) = write_labels(tmp_path / "in", "a", "mhd")
    assert ids(tmp_path / "in", options(tmp_path / "in")) == ["a"]  # any program may have written it
    report = tmp_path / "in" / "report.json"
    write_report(report, path)
    touch(tmp_path / "in", "b.nii")
    assert ids(tmp_path / "in", options(tmp_path / "in")) == ["b"]
    report.rename(tmp_path / "in" / "a.report.json")
    assert ids(tmp_path / "in", options(tmp_path / "in")) == ["b"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"versions": 1}', '{"versions": {"gpu_infer": "1"}, "outputs": [1]}']
)
def test_a_report_of_another_program_or_folder_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (path,) = write_labels(tmp_path / "in", "a", "mhd")
    report = tmp_path / "in" / "report.json"
    write_report(report, tmp_path / "elsewhere" / path.name)
    assert own_volumes([path]) == set()
    report.write_text(content)
    assert own_volumes([path]) == set()


def test_folders_of_outputs(tmp_path: Path) -> None:
    names = {"case.json", "config.meta"}
    assert not is_output_folder(tmp_path, names)
    for name, ours, other in (
        ("case.json", {"status": "done"}, {"patient": "x"}),
        ("config.meta", {"name": "a", "settings": "config_render.json"}, {"name": "a", "author": "x"}),
    ):
        (tmp_path / name).write_text(json.dumps(other))
        assert not is_output_folder(tmp_path, names)
        (tmp_path / name).write_text(json.dumps(ours))
        assert is_output_folder(tmp_path, names)
        assert not is_output_folder(tmp_path, set())
        (tmp_path / name).unlink()


def test_only_outputs_are_no_batch(tmp_path: Path) -> None:
    write_labels(tmp_path / "in", "a", "nii.gz")
    assert "no case found" in refused(tmp_path / "in", options(tmp_path / "in"))
