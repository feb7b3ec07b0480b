"""Cases of a folder: volumes, sub-folders, mixtures that are refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from case_files import ids, inputs, options, refused, series, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_infer.batch.cases.find import find
from gpu_infer.errors import ConfigError


def test_each_volume_of_a_folder_is_a_case_in_the_order_of_the_names(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "c.nrrd", "a.nii.gz", "b.mhd", "b.raw", "notes.txt", ".hidden.nii", "B2.mha")
    cases = find(root, options(root))
    assert inputs(cases, root) == {"B2": ["B2.mha"], "a": ["a.nii.gz"], "b": ["b.mhd"], "c": ["c.nrrd"]}
    assert [case.id for case in cases] == ["B2", "a", "b", "c"]


def test_names_become_safe_identifiers(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "Patient 1.nii", "ü-2.5.nii", "x(1).nii")
    names = ids(root, options(root))
    assert names[0] == "Patient_1"
    assert names[2] == "ü-2.5"
    assert names[1].startswith("x_1-")  # a digest of the name: x[1] gets another one


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "in", "a.nii")
    monkeypatch.chdir(tmp_path)
    (case,) = find("in", options(Path("in")))
    assert case.inputs == (tmp_path / "in" / "a.nii",)
    monkeypatch.chdir(tmp_path / "in")
    assert ids(".", options(Path("in").absolute())) == ["a"]


def test_a_sub_folder_with_one_volume_is_a_case_with_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = touch(tmp_path / "in", "p2/ct.mhd", "p2/ct.raw", "p1/t1.nii.gz", "docs/readme.txt", "p0.nii", ".git/a.nii")
    cases = find(root, options(root))
    assert inputs(cases, root) == {"p0": ["p0.nii"], "p1": ["p1/t1.nii.gz"], "p2": ["p2/ct.mhd"]}
    assert [case.id for case in cases] == ["p0", "p1", "p2"]
    assert f"sub-folders without a volume: {root}/docs" in caplog.text


def test_volumes_and_one_series_in_a_sub_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    series(root / "ct" / "slices")
    cases = find(root, options(root))
    assert inputs(cases, root) == {"a": ["a.nii"], "ct": ["ct/slices"]}
    assert cases[1].series is None


def test_a_sub_folder_with_two_volumes_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a/x.nii", "p1/t1.nii", "p1/t2.nii")
    assert f"{root}/p1: 2 volumes in a sub-folder, expected one: t1.nii, t2.nii" in refused(root, options(root))


def test_a_volume_deeper_than_one_folder_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "sub-01/anat/t1.nii.gz")
    message = refused(root, options(root))
    assert f"{root}/sub-01/anat/t1.nii.gz: a volume more than one folder below {root}" in message
    assert f"'{root}/**/*.nii.gz'" in message
    assert ids(f"{root}/**/*.nii.gz", options(root)) == ["sub-01_anat_t1"]


def test_slices_next_to_a_volume_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    series(root)
    assert f"{root}: volume files and slices of a DICOM series" in refused(root, options(root))


def test_a_series_next_to_a_volume_in_a_sub_folder_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "p1/a.nii")
    series(root / "p1")
    assert f"{root}/p1: volume files and 1 DICOM series" in refused(root, options(root))


def test_two_series_in_a_sub_folder_next_to_volumes_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    series(root / "p1" / "s1", "1.2.1")
    series(root / "p1" / "s2", "1.2.2")
    assert f"{root}/p1: 2 DICOM series, 2 of them to take, expected one" in refused(root, options(root))


def test_names_that_are_equal_without_extension_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii", "a.nii.gz")
    assert f"{root}/a.nii.gz: has the name of a.nii without extension" in refused(root, options(root))


@pytest.mark.parametrize("other", ["A.nii", "a/ct.nii", "A/ct.nii"])
def test_identifiers_that_differ_in_case_only_are_refused(tmp_path: Path, other: str) -> None:
    root = touch(tmp_path / "in", "a.nii.gz", other)
    message = refused(root, options(root))
    assert "two cases would be" in message
    assert f"{root}/a.nii.gz" in message
    assert f"{root}/{other}" in message


@pytest.mark.parametrize("name", ["status.csv.nii", "Summary.json.nii", "a.nii.nii", f"{'x' * 121}.nii"])
def test_a_name_that_makes_no_identifier_is_refused(tmp_path: Path, name: str) -> None:
    root = touch(tmp_path / "in", name)
    assert "is no identifier of a case" in refused(root, options(root))


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "in", "a.nii", "b/c.nii", "b/d.raw")
    monkeypatch.setattr("gpu_infer.batch.cases.tree.MOST_FILES", 2)
    assert f"{root}: more than 2 files" in refused(root, options(root))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "notes.txt")
    assert f"{root}: no case found" in refused(root, options(root))
    assert "no such file or folder" in refused(tmp_path / "missing", options(root))


def test_archives_are_cases_only_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = touch(tmp_path / "in", "a.zip", "b.zip")
    assert f"'{root}/*.zip'" in refused(root, options(root))
    assert ids(f"{root}/*.zip", options(root)) == ["a", "b"]
    touch(root, "c.nii", "d.hdr")
    caplog.clear()
    assert ids(root, options(root)) == ["c"]
    assert f"files that are cases only if they are named: {root}/a.zip, {root}/b.zip, {root}/d.hdr" in caplog.text


def test_the_output_folder_is_not_the_input_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    (tmp_path / "link").symlink_to(root)
    for output in (root, tmp_path / "link"):
        message = refused(root, options(root, output=output), ConfigError)
        assert f"{root}: is the input and the output folder" in message


def test_outputs_may_be_in_the_input_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = touch(tmp_path / "in", "a.nii", "out/a/a.nii", "out/b.nii")
    with caplog.at_level(logging.INFO):
        assert ids(root, options(root, output=root / "out")) == ["a"]
    assert f"outputs of earlier runs, no cases: {root}/out" in caplog.text


def test_outputs_of_a_case_are_not_next_to_its_input(tmp_path: Path) -> None:
    root = touch(tmp_path / "data" / "scans", "scans.nii")
    message = refused(root, options(root, output=tmp_path / "data"), ConfigError)
    assert (
        f"{tmp_path}/data/scans: the folder of the outputs of case scans contains the input {root}/scans.nii" in message
    )
    touch(root, "b.nii")
    (root / "scans.nii").unlink()
    assert ids(root, options(root, output=tmp_path / "data")) == ["b"]


def test_links_to_folders_elsewhere_are_entered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "elsewhere", "ct.nii", "x/y.txt")
    root = touch(tmp_path / "in", "a.nii", "deep/notes.txt")
    (root / "p1").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (root / "deep" / "link").symlink_to(tmp_path / "elsewhere")
    assert ids(root, options(root)) == ["a", "p1"]
    assert f"links to folders were not followed: {root}/loop, {root}/deep/link" in caplog.text


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "in", "a.nii", "p1/b.nii")
    scan = os.scandir

    def deny(path: str) -> object:
        if str(path).endswith("p1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    assert f"{root}/p1: cannot be read: Permission denied" in refused(root, options(root))


def test_a_series_rule_is_refused_for_volume_files(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    assert "--series chooses from DICOM studies, found a volume file" in refused(root, options(root, "Modality=CT"))


# -- the files of LoadNifti ------------------------------------------------------------------------------------

PATTERNS = ("*_t1.nii", "*_t2.nii")


def test_with_patterns_a_case_is_a_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "p2/b_t2.nii", "p2/b_t1.nii", "p1/a_t1.nii", "p1/a_t2.nii", "p1/a_seg.nii", "x/y.txt")
    cases = find(root, options(root, patterns=PATTERNS))
    assert inputs(cases, root) == {"p1": ["p1"], "p2": ["p2"]}
    assert inputs(find(root / "p1", options(root, patterns=PATTERNS)), root) == {"p1": ["p1"]}
    assert ids(f"{root}/p?", options(root, patterns=PATTERNS)) == ["p1", "p2"]


def test_with_patterns_a_missing_file_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "p1/a_t1.nii", "p1/a_t2.nii", "p2/a_t1.nii")
    assert f"{root}/p2: expected one file *_t2.nii, found none" in refused(root, options(root, patterns=PATTERNS))


@pytest.mark.parametrize("name", ["a_t1.nii", "p1/x/a_t1.nii"])
def test_with_patterns_volumes_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    root = touch(tmp_path / "in", "p1/a_t1.nii", "p1/a_t2.nii", name)
    message = refused(root, options(root, patterns=PATTERNS))
    assert f"{root}/{name}: expected the files *_t1.nii, *_t2.nii in each sub-folder" in message


def test_with_patterns_a_folder_without_sub_folders_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "notes.txt")
    assert f"{root}: no sub-folder with the files" in refused(root, options(root, patterns=PATTERNS))


# -- properties ------------------------------------------------------------------------------------------------

NAMES = st.text(st.sampled_from("abAB01_-. ü("), min_size=1, max_size=5).filter(lambda name: name.strip(". "))


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.casefold), st.randoms())
def test_identifiers_are_unique_and_do_not_depend_on_the_order_of_the_files(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], random: object
) -> None:
    files = [f"{name}.nii" for name in names if not name.startswith(".")]
    roots = []
    for n in range(2):
        root = tmp_path_factory.mktemp("cases") / "in"
        touch(root, *(files if n == 0 else files[::-1]), "z.nrrd")
        roots.append(root)
    try:
        first = find(roots[0], options(roots[0]))
    except Exception as error:  # the same refusal, whatever the order on the disk
        assert str(error).replace(str(roots[0]), "") == refused(roots[1], options(roots[1])).replace(str(roots[1]), "")
        return
    second = find(roots[1], options(roots[1]))
    assert inputs(first, roots[0]) == inputs(second, roots[1])
    assert [case.id for case in first] == [case.id for case in second]
    assert len({case.id.casefold() for case in first}) == len(files) + 1
    assert [str(case.inputs[0]) for case in first] == sorted(str(case.inputs[0]) for case in first)


class Shuffled(list[os.DirEntry[str]]):
    """Entries of a folder in another order, as `os.scandir` gives them."""

    def __enter__(self) -> Iterator[os.DirEntry[str]]:
        return iter(self)

    def __exit__(self, *_: object) -> None:
        return None

    def __next__(self) -> os.DirEntry[str]:
        if not self:
            raise StopIteration
        return self.pop(0)

    def close(self) -> None:
        self.clear()


@pytest.mark.parametrize("pattern", ["", "/*", "/**/*.nii"])
def test_the_order_does_not_depend_on_that_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    files = [f"p{n}/ct.nii" for n in range(5)] + [f"c{n}.nii" for n in range(5)]
    root = touch(tmp_path / "in", *files)
    scan, listings = os.scandir, []
    for seed in range(4):
        random = Random(seed)

        def shuffled(path: str, random: Random = random) -> Shuffled:
            with scan(path) as entries:
                return Shuffled(random.sample(listed := list(entries), len(listed)))

        monkeypatch.setattr(os, "scandir", shuffled)
        listings.append(find(f"{root}{pattern}", options(root)))
    assert listings == [listings[0]] * 4
    assert len(listings[0]) == 10


def test_series_are_in_the_order_of_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "in"
    for n in (2, 0, 1):
        series(root / f"p{n}", f"1.2.{n + 1}")
    scan = os.scandir
    before = find(root, options(root))

    def turned(path: str) -> Shuffled:
        with scan(path) as entries:
            return Shuffled(list(entries)[::-1])

    monkeypatch.setattr(os, "scandir", turned)
    assert find(root, options(root)) == before
    assert [case.id for case in before] == ["p0", "p1", "p2"]
