"""The name of a case: the input's, or a pattern with elements of DICOM."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from dicom_series import write_slice
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.case_name import case_name, check_pattern, clean


def test_the_default_is_the_name_of_the_input() -> None:
    assert case_name(Path("/in/ct.v2.nii.gz"), None, None) == "ct.v2"
    assert case_name(Path("/in/1.2.840.1"), Path("/in/1.2.840.1/IM1"), None) == "1.2.840.1"


def test_text_and_the_name_work_for_every_format() -> None:
    assert case_name(Path("/in/ct.nii"), None, "lung_{name}_{{v1}}") == "lung_ct_{v1}"
    with pytest.raises(InputError) as caught:
        case_name(Path("/in/ct.nii"), None, "{name}_{PatientID}")
    assert str(caught.value) == (
        "/in/ct.nii: no DICOM series, and --name {name}_{PatientID} contains {PatientID} (use {name}, the name of the "
        "input, and plain text)"
    )


def test_elements(tmp_path: Path) -> None:
    first = tmp_path / "IM1"
    tags = {"PatientName": "Müller^Jörg^^Dr", "SpecificCharacterSet": "ISO_IR 100", "SeriesNumber": 3}
    write_slice(first, 0, StudyDate="20200131", ImageType=["ORIGINAL", "PRIMARY"], AccessionNumber="", **tags)
    pattern = "{StudyDate}_{PatientName}_{SeriesNumber}_{ImageType}_{folder}"
    assert case_name(tmp_path / "se", first, pattern) == "20200131_Müller_Jörg_Dr_3_ORIGINAL-PRIMARY_se"
    for missing in ("AccessionNumber", "StationName"):
        with pytest.raises(InputError, match=f"{missing} is empty or missing, --name {{{missing}}} needs it"):
            case_name(tmp_path, first, f"{{{missing}}}")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("PAT001", "PAT001"),
        ("Doe^Jane^^", "Doe_Jane"),
        (" a b ", "a_b"),
        ("1.2-3+x", "1.2-3+x"),
        ("..", "#"),
        ("../../etc", "etc-#"),
        ("a/b", "a_b-#"),
        ("a\\b", "a_b-#"),
        ("^^", ""),
        ("", ""),
    ],
)
def test_values_become_parts_of_names(value: str, name: str) -> None:
    assert clean(value) == name.replace("#", hashlib.sha256(value.encode()).hexdigest()[:8])


@given(st.text(max_size=40))
def test_a_value_makes_no_path(value: str) -> None:
    name = clean(value)
    assert not set(name) & set("/\\\0\n ")
    assert not name.startswith((".", "-"))


@given(st.lists(st.text("ab/:*._-", min_size=1, max_size=4), min_size=2, max_size=2, unique=True))
def test_different_values_have_different_names(values: list[str]) -> None:
    assert clean(values[0]) != clean(values[1])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a/b", "a slash or control character"),
        ("../x", "a slash"),
        ("a\nb", "a slash or control character"),
        (".hidden", "begins with a letter"),
        ("-x", "begins with a letter"),
        ("", "begins with a letter"),
        ("{PatientId}", "PatientId is no keyword of DICOM (did you mean PatientID"),
        ("{PixelData}", "PixelData is a sequence or bytes"),
        ("{", "a brace alone"),
        ("a}b", "a brace alone"),
        ("{}", "the field ''"),
        ("{0}", "0 is no keyword"),
        ("{name!r}", "the field 'name'"),
        ("{name:>999999999}", "the field 'name'"),
        ("{name.__class__}", "the field 'name.__class__'"),
        ("{PatientID[0]}", "the field"),
    ],
)
def test_patterns_that_cannot_be_meant(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match="--name: found ") as caught:
        check_pattern(pattern)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["{PatientID}_{SeriesNumber}", "{name}", "x", "{folder}.{StudyDate}", "ü {name}"])
def test_patterns(pattern: str) -> None:
    check_pattern(pattern)
