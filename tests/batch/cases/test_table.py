"""Cases of a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from case_files import inputs, options, refused, touch

from gpu_infer.batch.cases.find import find
from gpu_infer.errors import ConfigError


def table(root: Path, text: str | bytes, name: str = "cases.csv") -> Path:
    touch(root, "a.nii", "sub/b.nii.gz", "study/IM1", "c d;e.nii")
    path = root / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_has_its_order_and_paths_from_its_folder(tmp_path: Path) -> None:
    text = f"id,input\nz,sub/b.nii.gz\n\nk,{tmp_path}/a.nii\na,study\n"
    cases = find(table(tmp_path, text), options(tmp_path / "in"))
    assert inputs(cases, tmp_path) == {"z": ["sub/b.nii.gz"], "k": ["a.nii"], "a": ["study"]}
    assert [case.id for case in cases] == ["z", "k", "a"]


@pytest.mark.parametrize(
    "text",
    [
        "id;input\r\nx;a.nii\r\n",
        "id\tinput\nx\ta.nii",
        "\ufeffid,input\nx,a.nii\n",
        " ID , Input \n x , a.nii \n,\n",
        '"id";"input"\n"x";"a.nii"\n',
        "\n\nid,input\n   \nx,a.nii",
    ],
)
def test_dialects_of_a_table(tmp_path: Path, text: str) -> None:
    cases = find(table(tmp_path, text), options(tmp_path / "in"))
    assert inputs(cases, tmp_path) == {"x": ["a.nii"]}


def test_a_delimiter_in_a_quoted_path_is_part_of_it(tmp_path: Path) -> None:
    cases = find(table(tmp_path, 'id;input\nx;"c d;e.nii"\n', "cases.TSV"), options(tmp_path / "in"))
    assert inputs(cases, tmp_path) == {"x": ["c d;e.nii"]}


def test_further_columns_are_channels(tmp_path: Path) -> None:
    cases = find(table(tmp_path, "id,input,t2\nx,a.nii,sub/b.nii.gz\n"), options(tmp_path / "in"))
    assert inputs(cases, tmp_path) == {"x": ["a.nii", "sub/b.nii.gz"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: found '', expected the columns id,input"),
        ("input,id\na.nii,x\n", ":1: found 'input,id', expected the columns id,input"),
        ("x,a.nii\n", ":1: found 'x,a.nii', expected the columns id,input"),
        ("id,input,t2,T2\nx,a.nii,a.nii,a.nii\n", "expected a different name for each"),
        ("id,input,\nx,a.nii,\n", "expected a different name for each"),
        ("id,input\n", ": no case below the header"),
        ("id,input\nx,a.nii,sub/b.nii.gz\n", ":2: 3 cells, expected 2 as in the header"),
        ("id,input\nx\n", ":2: 1 cells, expected 2"),
        ("id,input\n\nx,\n", ":3: the case x has an empty cell"),
        ("id,input\n,a.nii\n", ":2: id '': it is empty"),
        ("id,input\nx/y,a.nii\n", ":2: id 'x/y': it contains '/', expected letters, digits and"),
        ("id,input\n..,a.nii\n", ":2: id '..': it begins with ."),
        ("id,input\nstatus.csv,a.nii\n", "a batch has a file of this name"),
        ("id,input\nx.nii,a.nii\n", "it ends like the name of a volume"),
        ("id,input\nx,a.nii\ny,a.nii\nX,a.nii\n", ":4: the case X is in line 2, too"),
        ('id,input\nx,"a.nii\n', "unexpected end of data"),
        (b"id,input\nx,a\xff.nii\n", ":2: no UTF-8 text"),
        ("id,input\nx,cases.csv\n", "case x: {folder}/cases.csv: no volume by its extension"),
    ],
)
def test_a_table_that_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = table(tmp_path, text)
    line = refused(path, options(tmp_path / "in"))
    assert str(path) in line
    assert message.format(folder=tmp_path) in line


def test_missing_files_are_listed(tmp_path: Path) -> None:
    rows = "".join(f"x{n},gone{n}.nii\n" for n in range(7))
    line = refused(table(tmp_path, f"id,input\nok,a.nii\n{rows}nul,a\0.nii\n"), options(tmp_path / "in"))
    listed = ", ".join(f"{tmp_path}/gone{n}.nii" for n in range(5))
    assert f"8 inputs do not exist: {listed} and 3 more" in line
    assert "1 inputs do not exist" in refused(
        table(tmp_path, f"id,input\nx,{'x' * 300}.nii\n"), options(tmp_path / "in")
    )


def test_a_file_that_is_too_large_for_a_table_is_not_read(tmp_path: Path) -> None:
    path = table(tmp_path, "id,input\n")
    with path.open("r+b") as file:
        file.truncate(1 << 30)  # sparse
    assert f"{path}: 1024 MiB, expected a table of cases" in refused(path, options(tmp_path / "in"))


def test_a_pattern_of_names_contradicts_a_table(tmp_path: Path) -> None:
    path = table(tmp_path, "id,input\nx,a.nii\n")
    assert "--name contradicts" in refused(path, options(tmp_path / "in", name="{name}"), ConfigError)


def test_the_files_of_the_configuration_need_folders(tmp_path: Path) -> None:
    chosen = options(tmp_path / "in", patterns=("*_t1.nii", "*_t2.nii"))
    assert inputs(find(table(tmp_path, "id,input\nx,study\n"), chosen), tmp_path) == {"x": ["study"]}
    line = refused(table(tmp_path, "id,input\nx,a.nii\n"), chosen, ConfigError)
    assert f"case x: {tmp_path}/a.nii is a file, expected a folder with the files *_t1.nii, *_t2.nii" in line
    line = refused(table(tmp_path, "id,input,t2\nx,study,study\n"), chosen, ConfigError)
    assert "2 inputs of a case contradict LoadNifti's `files`" in line


def test_a_table_among_other_inputs_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "id,input\nx,a.nii\n")
    assert f"{path}: a table among 2 inputs" in refused([path, tmp_path / "a.nii"], options(tmp_path / "in"))


def test_a_series_rule_is_for_studies(tmp_path: Path) -> None:
    chosen = options(tmp_path / "in", "Modality=CT")
    assert inputs(find(table(tmp_path, "id,input\nx,study\n"), chosen), tmp_path) == {"x": ["study"]}
    assert "found a volume file" in refused(table(tmp_path, "id,input\nx,a.nii\n"), chosen)
    assert "found a volume file" in refused(table(tmp_path, "id,input,t2\nx,study,study\n"), chosen)
