"""Custom writers: their files appear together or not at all, and what is refused."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.label_table.table import LabelTable
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.base import LabelResult, Writer
from gpu_infer.writers.custom.write import check_own_names, scratch_bytes, write_files, writer_places
from gpu_infer.writers.places import Place, check_places

GRID = Geometry((4, 3, 2), np.eye(4))


class Given(Writer):
    """Writes what a function says."""

    name = "Given"

    def __init__(self, function: Any, names: Any = ("case.a.csv", "case.b.csv")) -> None:
        super().__init__()
        self.function, self.names, self.where = function, names, "c.json: writers[1]"

    def file_names(self, name: str) -> Any:
        return self.names

    def write(self, result: LabelResult, folder: Path) -> Any:
        return self.function(result, folder)


def result() -> LabelResult:
    labels = np.ones(GRID.shape, np.uint8)
    labels.flags.writeable = False
    return LabelResult("case", "model", labels, GRID, LabelTable(), {"labels": {}})


def both(_: LabelResult, folder: Path) -> list[Path]:
    paths = [folder / "case.a.csv", folder / "case.b.csv"]
    for path in paths:
        path.write_text(f"new {path.name}")
    return paths


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_appear_in_the_folder(tmp_path: Path) -> None:
    assert write_files(Given(both), result(), tmp_path) == [tmp_path / "case.a.csv", tmp_path / "case.b.csv"]
    assert content(tmp_path) == {"case.a.csv": "new case.a.csv", "case.b.csv": "new case.b.csv"}


def test_older_files_are_replaced_and_those_without_a_successor_disappear(tmp_path: Path) -> None:
    for name in ("case.a.csv", "case.b.csv", "case.c.csv"):
        (tmp_path / name).write_text("old")

    def one(_: LabelResult, folder: Path) -> list[str]:
        (folder / "case.b.csv").write_text("new")
        return [str(folder / "case.b.csv")]

    write_files(Given(one), result(), tmp_path)
    assert content(tmp_path) == {"case.b.csv": "new", "case.c.csv": "old"}


def fails_half_way(_: LabelResult, folder: Path) -> list[Path]:
    (folder / "case.a.csv").write_text("new")
    raise ZeroDivisionError("division by zero")


def forgets(_: LabelResult, folder: Path) -> list[Path]:
    return both(_, folder)[:1]


def elsewhere(_: LabelResult, folder: Path) -> list[Path]:
    return [folder.parent / "case.a.csv"]


def undeclared(_: LabelResult, folder: Path) -> list[Path]:
    (folder / "case.z.csv").write_text("")
    return [folder / "case.z.csv"]


def links(_: LabelResult, folder: Path) -> list[Path]:
    (folder / "case.a.csv").symlink_to("/etc/passwd")
    return [folder / "case.a.csv"]


def changes(given: LabelResult, folder: Path) -> list[Path]:
    given.labels[...] = 0
    return []


OURS = "files in `folder` with names of `file_names`, each once: case.a.csv, case.b.csv"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            fails_half_way,
            "write failed: ZeroDivisionError: division by zero (fix the component at test_write.py, line",
        ),
        (forgets, "write: expected only the files that are returned: case.a.csv, found case.b.csv (return every file"),
        (elsewhere, f"write: expected {OURS}, found "),
        (undeclared, f"write: expected {OURS}, found case.z.csv"),
        (lambda _, folder: both(_, folder) * 2, f"write: expected {OURS}, found case.a.csv"),
        (lambda _, folder: [folder / "case.a.csv"], "write: expected the regular file case.a.csv, found none"),
        (links, "write: expected the regular file case.a.csv, found none"),
        (lambda *_: None, "write: expected a list of the paths of the files in `folder`, found None"),
        (lambda *_: [], "write: expected a list of the paths of the files in `folder`, found list []"),
        (changes, "write failed: ValueError: assignment destination is read-only"),
    ],
)
def test_nothing_changes_if_a_writer_fails(tmp_path: Path, function: Any, message: str) -> None:
    (tmp_path / "case.a.csv").write_text("old")
    with pytest.raises(ConfigError) as caught:
        write_files(Given(function), result(), tmp_path)
    assert str(caught.value).startswith(f"c.json: writers[1]: Given: {message}")
    assert content(tmp_path) == {"case.a.csv": "old"}


def test_a_full_disk_is_no_fault_of_the_configuration(tmp_path: Path) -> None:
    def full(_: LabelResult, folder: Path) -> list[Path]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResourceError, match=r"^c\.json: writers\[1\]: Given: write: "):
        write_files(Given(full), result(), tmp_path)
    assert content(tmp_path) == {}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["other.csv"], "found 'other.csv'"),
        (["case.x/../../y"], "found 'case.x/../../y'"),
        (["case."], "found 'case.'"),
        (["case.json"], "found 'case.json'"),
        (["case.report.json"], "found 'case.report.json'"),
        ("case.csv", "found str 'case.csv'"),
        ([], "found list []"),
        ([Path("case.csv")], "found list "),
    ],
)
def test_names_that_are_refused(tmp_path: Path, names: Any, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        writer_places(Given(both, names), tmp_path, "case")
    message = str(caught.value)
    assert message.startswith("c.json: writers[1]: Given: file_names: expected ")
    assert found in message


def test_a_name_of_another_output_is_refused(tmp_path: Path) -> None:
    other = Place(tmp_path / "case.b.csv", "a table", "output", lambda _: True)
    with pytest.raises(ConfigError) as caught:
        check_own_names(writer_places(Given(both), tmp_path, "case"), [other])
    assert str(caught.value) == (
        f"{tmp_path}/case.b.csv: an output of Given and another output would have this name, expected one (let the "
        "writer choose another name)"
    )


def test_a_file_that_the_writer_does_not_recognise_is_refused(tmp_path: Path) -> None:
    class Careful(Given):
        def is_older_output(self, path: Path) -> bool:
            return path.read_text(encoding="utf-8") == "mine"

    places = writer_places(Careful(both), tmp_path, "case")
    (tmp_path / "case.a.csv").write_text("mine")
    check_places(places)
    (tmp_path / "case.b.csv").write_text("another's")
    with pytest.raises(
        ConfigError, match=r"case\.b\.csv: found a file of another program, expected none or an output of"
    ):
        check_places(places)
    with pytest.raises(ConfigError, match=r"case\.b\.csv: found a file of another program"):
        write_files(Careful(both), result(), tmp_path)
    assert content(tmp_path) == {"case.a.csv": "mine", "case.b.csv": "another's"}


def test_bytes_by_default_are_two_masks() -> None:
    assert scratch_bytes(Given(both), (4, 3, 2)) == 48
