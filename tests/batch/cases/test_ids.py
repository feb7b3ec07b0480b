"""Identifiers of cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.ids import LONGEST, check_ids, folder_name, id_problem, make_id
from gpu_infer.errors import InputError
from gpu_infer.settings import Settings
from gpu_infer.writers.names import voxel_stem


@pytest.mark.parametrize("name", ["a", "case-1_x.2+3", "Ä1", "x" * LONGEST, "1.2.840.113"])
def test_good_identifiers(name: str) -> None:
    assert id_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        ("a b", "it contains ' '"),
        ("a/b", "it contains '/'"),
        ("a\0", "it contains '\\x00'"),
        ("a\udcff", "it contains '\\udcff'"),
        ("-a", "it begins with -"),
        (".a", "it begins with ."),
        ("_a", "it begins with _"),
        ("x" * (LONGEST + 1), "it has 121 bytes, expected at most 120"),
        ("ü" * 61, "it has 122 bytes, expected at most 120"),
        ("CASE.json", "a batch has a file of this name"),
        ("gpu_infer.log", "a batch has a file of this name"),
        ("a.mhd", "it ends like the name of a volume"),
        ("a.NII.gz", "it ends like the name of a volume"),
    ],
)
def test_bad_identifiers(name: str, problem: str) -> None:
    assert problem in str(id_problem(name))


@given(st.text(max_size=30))
def test_an_identifier_is_a_folder_and_a_name_of_outputs(text: str) -> None:
    """The folder of a case is never taken for a file name, and its files have its name unchanged."""
    name = make_id(text)
    if id_problem(name) is None:
        assert Settings(Path("in"), Path("out") / name, output_name=name).output == Path("out") / name
        assert Path("out", name).name == name
        assert voxel_stem(name) == name


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_different_names_make_different_identifiers(first: str, second: str) -> None:
    plain = ("^", " ", "_")
    if first != second and not any(c in first + second or c.isspace() for c in plain) and first.isascii():
        assert make_id(first) != make_id(second) or first.strip() == second.strip()


def test_two_cases_with_one_identifier_are_refused() -> None:
    cases = [Case("a", (Path("x"),)), Case("A", (Path("y"),))]
    with pytest.raises(InputError, match="two cases would be a and A: x and y, expected different names"):
        check_ids(cases)
    check_ids(cases[:1])


def test_names_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert [folder_name(Path(text)) for text in (".", "..", "x/", "/y/z")] == ["b", "a", "x", "z"]
