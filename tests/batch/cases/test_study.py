"""Cases of a DICOM root: which series, their names, what may be shown of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from case_files import ids, inputs, options, refused, series, touch, write_labels
from dicom_study import IDENTITY, MARKS, MPR_UID, THIN_UID, write_one_volume, write_other_patient, write_study

from gpu_infer.batch.cases.describe import describe
from gpu_infer.batch.cases.find import find
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.batch.job import BatchJob
from gpu_infer.errors import InputError
from gpu_infer.planning.run_inputs import InputOptions
from gpu_infer.settings import Settings
from gpu_infer.volume.open_input import open_input
from gpu_infer.volume.series_rules import SeriesChoice, parse_rule, series_of_option


def by_config(root: Path, *rules: str) -> CaseOptions:
    choice = SeriesChoice(tuple(map(parse_rule, rules)), "c.json: series", is_option=False)
    return CaseOptions(root.parent / "out", series=choice)


def write_patients(root: Path, *names: str) -> Path:
    """The same study for several patients."""
    root.mkdir()
    for name in names:
        write_study(root / name)
        for part in (root / name).rglob("*"):
            if part.is_file():
                data = part.read_bytes()
                mark = IDENTITY["PatientID"].encode()
                part.write_bytes(data.replace(mark, name.encode().ljust(len(mark))))
    return root


def test_every_volume_of_every_study_is_a_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_patients(tmp_path / "in", "p1", "p2")
    with caplog.at_level(logging.INFO):
        cases = find(root, options(root))
    assert inputs(cases, root) == {
        "p1_st0_se1": ["p1/st0/se1"],
        "p1_st0_se2": ["p1/st0/se2"],
        "p2_st0_se1": ["p2/st0/se1"],
        "p2_st0_se2": ["p2/st0/se2"],
    }
    assert [case.series for case in cases] == [None] * 4  # each folder has one series alone
    assert f"{root}: 4 of 10 DICOM series are cases" in caplog.text


def test_a_rule_chooses_series(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "in", "p1", "p2")
    assert ids(root, options(root, "slices>20")) == ["p1_st0_se1", "p2_st0_se1"]
    message = refused(root, options(root, "Modality=MR"))
    assert f"{root}: 10 DICOM series, none of them is a volume that --series chooses" in message


def test_rules_of_the_configuration_choose_in_each_study(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "in", "p1", "p2")
    for path in (root / "p2" / "st0" / "se1").iterdir():
        path.unlink()
    rules = by_config(root, "slices>20", "slices>5")
    assert ids(root, rules) == ["p1_st0_se1", "p2_st0_se2"]
    # no rule fits exactly one volume of p1: those of the first rule that fits any are cases
    assert ids(root, by_config(root, "slices>50", "slices>5")) == ["p1_st0_se1", "p1_st0_se2", "p2_st0_se2"]


def flat(root: Path) -> Path:
    """Series 1 and 3 are volumes, series 2 is a localizer."""
    for uid, number, first, count in (("1.2.1", 1, 0, 3), ("1.2.2", 2, 20, 2), ("1.2.3", 3, 40, 4)):
        kind = ["ORIGINAL", "PRIMARY", "LOCALIZER" if number == 2 else "AXIAL"]
        series(root, uid, range(first, first + count), SeriesNumber=number, ImageType=kind)
    return root


def test_series_of_one_folder_have_their_number_and_uid(tmp_path: Path) -> None:
    root = flat(tmp_path / "in" / "x")
    cases = find(root.parent, options(root.parent))
    assert [(case.id, case.inputs, case.series) for case in cases] == [
        ("x_1", (root,), "1.2.1"),
        ("x_3", (root,), "1.2.3"),
    ]
    assert [case.id for case in find(root, options(root))] == ["x_1", "x_3"]
    (case,) = find(root, options(root, "slices=4"))
    assert (case.id, case.series) == ("x", "1.2.3")


def test_a_case_reads_its_series_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = flat(tmp_path / "in")
    batch = BatchJob(Settings(root, tmp_path / "out", series="slices>2", name="{SeriesNumber}"))
    shapes = {}
    monkeypatch.setattr("gpu_infer.volume.formats.dicom.study.files_below", None)  # the folder is not read again
    for case in find(root, options(root, "slices>2", name="{SeriesNumber}")):
        settings = batch.case_settings(case)
        assert settings.name == case.id
        assert settings.series is not None
        chosen = InputOptions(series=series_of_option(settings.series), series_files=settings.series_files)
        with open_input(settings.input, chosen) as header:
            shapes[case.id] = header.geometry.shape[2]
            assert sorted(header.files) == sorted(case.slices)
    assert shapes == {"1": 3, "3": 4}


def test_a_study_that_is_one_folder_and_a_series_below_it(tmp_path: Path) -> None:
    root = tmp_path / "in"
    series(root / "a", "1.2.1")
    series(root / "a" / "b", "1.2.2")
    cases = find(root, options(root))
    assert [(case.id, case.series) for case in cases] == [("a", "1.2.1"), ("a_b", None)]


def test_elements_name_the_cases(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "in", "p1", "p2")
    assert ids(root, options(root, name="{PatientID}-{SeriesNumber}")) == ["p1-2", "p1-3", "p2-2", "p2-3"]
    message = refused(root, options(root, name="case-{SeriesNumber}"))
    assert f"two cases would be case-2: {root}/p1/st0/se1 and {root}/p2/st0/se1" in message
    assert "StudyID is empty or missing" in refused(root, options(root, name="{StudyID}"))


def test_the_uid_of_another_patient_is_another_case(tmp_path: Path) -> None:
    root = write_one_volume(tmp_path / "in")
    write_other_patient(root / "other")
    assert ids(root, options(root)) == ["other", "st0_se1"]


def test_a_series_that_is_no_volume_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "in"
    series(root / "good", "1.2.1")
    series(root / "gap", "1.2.2", range(8))
    (root / "gap" / "IM021").unlink()
    assert ids(root, options(root)) == ["good"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{root}: a series (CT, 7 files) in gap is no case: ")
    for path in (root / "good").iterdir():
        path.unlink()
    assert f"{root}: 1 DICOM series, none of them is a volume" in refused(root, options(root))


def test_the_log_ends_after_some_series_that_are_no_volumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "in"
    for n in range(23):
        series(root / f"s{n}", f"1.2.{n + 1}", [0, 1, 5])  # type: ignore[arg-type]
    series(root / "good", "1.2.99")
    assert ids(root, options(root)) == ["good"]
    assert len(caplog.records) == 21
    assert "and 3 more series of several images are no volumes" in caplog.text


def test_a_series_in_two_folders_is_one_case(tmp_path: Path) -> None:
    root = tmp_path / "in"
    series(root / "a", "1.2.1", range(4))
    series(root / "b", "1.2.1", range(4, 8))
    series(root / "b", "1.2.2", range(20, 24))
    cases = find(root, options(root))
    assert [(case.id, case.inputs[0], case.series) for case in cases] == [
        ("in", root, "1.2.1"),
        ("b", root / "b", "1.2.2"),
    ]
    touch(root, "a.nii")
    assert "volume files and slices of a DICOM series" in refused(root, options(root))


def test_a_series_without_a_valid_uid_is_chosen_by_its_files(tmp_path: Path) -> None:
    root = series(tmp_path / "in", "9.2.1")
    assert [(case.series, case.slices) for case in find(root, options(root))] == [(None, ())]
    first = sorted(root.iterdir())
    series(root, "1.2.2", range(20, 23))
    cases = find(root, options(root))
    assert [(case.id, case.series) for case in cases] == [("in_1", None), ("in_2", "1.2.2")]
    assert sorted(cases[0].slices) == first


def test_outputs_of_a_batch_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "in"
    series(root / "ct", "1.2.1")
    series(root / "out" / "ct" / "ct.sc", "1.2.2")
    write_labels(root / "out" / "ct", "ct", "nii.gz")
    assert ids(root, options(root, output=root / "out")) == ["ct"]
    touch(root, "out/ct/case.json")
    assert ids(root, options(root)) == ["ct", "out_ct_ct.sc"]  # an empty case.json may be another program's
    (root / "out" / "ct" / "case.json").write_text('{"status": "failed"}')
    assert ids(root, options(root)) == ["ct"]


def test_no_identity_is_in_cases_logs_and_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "in"
    write_study(root)
    for path in (*(root / "st0" / "se1").iterdir(), *(root / "st0" / "se2").iterdir()):
        path.rename(root / "st0" / f"{path.parent.name}{path.name}")
    with caplog.at_level(logging.DEBUG):
        cases = find(root, options(root))
        with pytest.raises(InputError) as caught:
            find(root, options(root, "slices>500"))
    assert {case.series for case in cases} == {THIN_UID, MPR_UID}  # for the worker alone
    shown = f"{caplog.text} {caught.value} {[case.public() for case in cases]} {describe(cases)}"
    assert not [mark for mark in MARKS if mark in shown]
