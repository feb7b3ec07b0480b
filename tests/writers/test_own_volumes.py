"""Which volumes of a folder are outputs of earlier runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.choices import Format, ScoresFormat
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.label_maps import LabelMap, write_label_maps
from gpu_infer.writers.own_volumes import own_volumes
from gpu_infer.writers.score_maps import write_score_map

LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GEOMETRY = Geometry((2, 3, 4), np.diag([-1.0, -1.0, 2.0, 1.0]))


def write(folder: Path, name: str, *formats: Format) -> None:
    write_label_maps({"model": LabelMap(LABELS, np.uint8, formats)}, GEOMETRY, folder, name)


def report(folder: Path, inputs: list[Path], outputs: list[Path | str], name: str = "report.json") -> None:
    content = {"input": {"files": list(map(str, inputs))}, "outputs": [{"mhd": str(path)} for path in outputs]}
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("form", ["mha", "nii.gz", "nii", "nrrd", "seg.nrrd"])
def test_the_mark_of_a_format(tmp_path: Path, form: Format) -> None:
    write(tmp_path, "case", form)
    own, other = tmp_path / f"case.{form}", tmp_path / f"other.{form}"
    sitk.WriteImage(sitk.ReadImage(str(own)), str(other))  # saved again by another program
    assert own_volumes([own, other]) == {own}


@pytest.mark.parametrize("form", ["nii.gz", "nrrd"])
def test_the_mark_of_a_score_map(tmp_path: Path, form: ScoresFormat) -> None:
    own = tmp_path / f"case.1.score.{form}"
    write_score_map(own, [LABELS.astype(np.float32) / 24], GEOMETRY, "uint8", "label 1")
    assert own_volumes([own]) == {own}


def test_a_plain_header_counts_if_a_report_lists_it(tmp_path: Path) -> None:
    write(tmp_path, "case", "mhd")
    write(tmp_path, "scan", "mhd")  # a plain header without tags, as ITK writes it for an input
    case, scan = tmp_path / "case.mhd", tmp_path / "scan.mhd"
    assert own_volumes([case, scan]) == set()
    report(tmp_path, [scan], [case], "x.report.json")
    assert own_volumes([case, scan]) == {case}
    report(tmp_path, [scan], [scan])  # an input that a report lists as an output is an input
    assert own_volumes([case, scan]) == {case}
    (tmp_path / "x.report.json").write_text("[1, {")
    assert own_volumes([case, scan]) == set()


def test_a_report_of_another_folder_counts_for_nothing(tmp_path: Path) -> None:
    write(tmp_path, "case", "mhd")
    report(tmp_path, [], ["/elsewhere/case.mhd"])
    assert own_volumes([tmp_path / "case.mhd"]) == set()
    report(tmp_path, [], [f"{tmp_path.name}/case.mhd"])  # relative to a working folder of that time
    assert own_volumes([tmp_path / "case.mhd"]) == {tmp_path / "case.mhd"}


def test_published_volumes_count(tmp_path: Path) -> None:
    write(tmp_path, "case.out", "mhd")
    content = {"published": [str(tmp_path / "case.out.mhd"), str(tmp_path / "case.nii.gz")], "outputs": 3, "input": []}
    (tmp_path / "report.json").write_text(json.dumps(content))
    (tmp_path / "case.nii.gz").write_bytes(b"no mark")
    assert own_volumes(sorted(tmp_path.iterdir())) == {tmp_path / "case.out.mhd"}


def test_an_edited_header_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, "case", "mhd")
    header = tmp_path / "case.mhd"
    report(tmp_path, [], [header])
    image = sitk.ReadImage(str(header))
    image.SetMetaData("ITK_Note", "corrected by hand")
    sitk.WriteImage(image, str(header))
    assert own_volumes([header]) == set()
