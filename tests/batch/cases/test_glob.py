"""Cases by a pattern or a list of paths."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from case_files import ids, inputs, options, refused, series, touch, write_labels
from dicom_study import write_one_volume, write_study, zip_folder

from gpu_infer.batch.cases.find import find
from gpu_infer.errors import ConfigError


def test_a_pattern_gives_the_names_of_files(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "b.nii.gz", "a.nii.gz", "c.nrrd", ".d.nii.gz")
    assert ids(f"{root}/*.nii.gz", options(root)) == ["a", "b"]
    assert ids(Path(f"{root}/[bc].n*"), options(root)) == ["b", "c"]


def test_identifiers_begin_at_the_first_folder_with_a_wildcard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "in", "x/anat/t1.nii", "y/anat/t1.nii", "t1.nii")
    assert ids(f"{root}/*/anat/t1.nii", options(root)) == ["x_anat_t1", "y_anat_t1"]
    assert ids(f"{root}/x/*/*.nii", options(root)) == ["anat_t1"]
    assert ids(f"{root}/**/*.nii", options(root)) == ["t1", "x_anat_t1", "y_anat_t1"]
    monkeypatch.chdir(root)
    assert ids("**/*.nii", options(root)) == ["t1", "x_anat_t1", "y_anat_t1"]


def test_paths_that_make_one_identifier_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a/b_c.nii", "a_b/c.nii")
    message = refused(f"{root}/*/*.nii", options(root))
    assert f"two cases would be a_b_c: {root}/a/b_c.nii and {root}/a_b/c.nii" in message


def test_a_list_gives_the_names_of_files_in_the_order_of_paths(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "x/b.nii", "y/a.nii", "z/b.nii")
    files = [root / "y/a.nii", root / "x/b.nii"]
    assert ids(files, options(root)) == ids(files[::-1], options(root)) == ["b", "a"]
    assert ids(root / "y/a.nii", options(root)) == ["a"]
    assert "two cases would be b" in refused([*files, root / "z/b.nii"], options(root))
    assert "no such file or folder" in refused([*files, root / "missing.nii"], options(root))


def test_a_file_whose_name_has_a_wildcard_is_a_file(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a[1].nii", "a1.nii")
    (name,) = ids(f"{root}/a[1].nii", options(root))
    assert name.startswith("a_1-")


def test_a_pattern_without_a_match_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    assert f"{root}/*.mhd: no file or folder fits this pattern" in refused(f"{root}/*.mhd", options(root))


def test_a_match_that_is_no_volume_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.mhd", "a.raw")
    assert f"{root}/a.raw: no volume by its extension" in refused(f"{root}/*", options(root))
    root = touch(tmp_path / "in2", "a/x.txt", "b/y.nii")
    assert f"{root}/a: no volume in this folder" in refused(f"{root}/*", options(root))


def test_folders_are_one_case_each(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a/x.nii")
    series(root / "b" / "slices")
    assert inputs(find(f"{root}/*", options(root)), root) == {"a": ["a/x.nii"], "b": ["b/slices"]}
    assert ids([root / "a", root / "b"], options(root)) == ["a", "b"]
    touch(root, "a/y.nii")
    assert f"{root}/a: 2 volumes in a sub-folder" in refused(f"{root}/*", options(root))
    root = touch(tmp_path / "in2", "a/x/y.nii")
    assert f"{root}/a/x/y.nii: a volume below the folder of a case, {root}/a" in refused(f"{root}/*", options(root))


def test_a_folder_does_not_count_if_a_file_in_it_fits(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a/x.nii", "a/y.nii")
    assert ids(f"{root}/**", options(root)) == ["a_x", "a_y"]


def test_a_study_of_several_volumes_is_one_case_if_a_rule_chooses(tmp_path: Path) -> None:
    root = tmp_path / "in"
    write_study(root / "p1")
    assert f"{root}/p1: 5 DICOM series, 2 of them to take" in refused(f"{root}/p*", options(root))
    (case,) = find(f"{root}/p*", options(root, "SeriesNumber=2"))
    assert (case.id, case.inputs, case.series) == ("p1", (root / "p1/st0/se1",), None)


def test_archives_and_dicomdirs_are_one_case_each(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.zip", "disc/DICOMDIR")
    assert inputs(find([root / "a.zip", root / "disc/DICOMDIR"], options(root)), root) == {
        "a": ["a.zip"],
        "disc": ["disc/DICOMDIR"],
    }
    assert ids(f"{root}/*/DICOMDIR", options(root)) == ["disc"]


def test_elements_name_an_archive(tmp_path: Path) -> None:
    root = touch(tmp_path / "in")
    root.mkdir()
    zip_folder(write_one_volume(tmp_path / "study"), root / "a.zip")
    assert ids(root / "a.zip", options(root, name="s{SeriesNumber}-{name}")) == ["s2-se1"]


def test_label_maps_of_this_program_are_no_cases(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = touch(tmp_path / "in", "a.nii.gz")
    write_labels(root, "old", "nii.gz")
    with caplog.at_level(logging.INFO):
        assert ids(f"{root}/*", options(root)) == ["a"]
    assert f"{root}/*: outputs of earlier runs, no cases: {root}/old.nii.gz" in caplog.text
    message = refused(root / "old.nii.gz", options(root))
    assert f"every file is an output of an earlier run: {root}/old.nii.gz" in message


def test_outputs_below_the_pattern_are_no_cases(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a/a.nii", "out/a/a.nii", "out/b/b.nii")
    assert ids(f"{root}/*/*.nii", options(root)) == ["a_a"]  # no *.nii directly in out/
    assert ids(f"{root}/**/*.nii", options(root, output=root / "out")) == ["a_a"]
    assert ids(f"{root}/**", options(root, output=root / "out")) == ["a_a"]


def test_inputs_may_be_below_the_output_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    assert ids(f"{root}/*", options(root, output=tmp_path)) == ["a"]
    assert ids([root / "a.nii"], options(root, output=tmp_path)) == ["a"]


def test_files_contradict_the_patterns_of_the_configuration(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    message = refused(root / "a.nii", options(root, patterns=("*_t1.nii",)), ConfigError)
    assert f"{root}/a.nii: a file, expected folders with the files *_t1.nii" in message
