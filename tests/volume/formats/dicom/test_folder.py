"""Other files in a series folder: named in a warning, or refused if they could be slices."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from dicom_series import CT, RT_STRUCTURES, dataset, hounsfield, refused, write_series, write_slice

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume.formats.dicom.series import holds_series
from gpu_infer.volume.input_files import choose_input
from gpu_infer.volume.read import read_volume

UID_NAME = "1.2.826.0.1.3680043.8.498.{}.dcm"


@pytest.mark.parametrize("name", ["IM021", "IM9999", "im5", "IM021.part", ".IM021.tmp"])
@pytest.mark.parametrize("content", [b"", bytes(100), bytes(700), b"\1" * 300], ids=["empty", "cut", "zeros", "noise"])
def test_named_like_a_slice(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_series(tmp_path / "s", range(3))
    (folder / name).write_bytes(content)
    text = f"{name}: looks like a slice of the series, found {len(content)} bytes that are no DICOM file"
    refused(folder, text)


@pytest.mark.parametrize("length", [0, 100, 131, 140, 200, 300, 400, 500, 600])
def test_slice_cut_at_any_length(tmp_path: Path, length: int) -> None:
    folder = write_series(tmp_path / "s", range(4))
    cut = folder / "IM021"
    data = cut.read_bytes()
    assert length < len(data)
    cut.write_bytes(data[:length])
    refused(folder, "IM021: ")


@pytest.mark.parametrize("length", [0, 100, 400])
def test_names_made_of_uids(tmp_path: Path, length: int) -> None:
    for n in range(4):
        write_slice(tmp_path / UID_NAME.format(100 + 13 * n), n)
    cut = tmp_path / UID_NAME.format(139)
    cut.write_bytes(cut.read_bytes()[:length])
    refused(tmp_path, "139.dcm: ")


def test_names_made_of_hexadecimal_digits(tmp_path: Path) -> None:
    for n, name in enumerate(("00AF31C2", "7B90D1E4", "C0FFEE00")):
        write_slice(tmp_path / name, n)
    (tmp_path / "19D2BEEF").touch()
    refused(tmp_path, "19D2BEEF: looks like a slice")


def test_as_large_as_a_slice(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3))
    (folder / "rest").write_bytes(bytes((folder / "IM007").stat().st_size))
    refused(folder, "rest: looks like a slice of the series")


def test_other_files_are_named(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3))
    for name in ("DICOMDIR.xml", "notes", ".DS_Store", "._IM007x"):
        (folder / name).write_bytes(b"\0\5\26\7")
    dataset(RT_STRUCTURES, "1.2.9").save_as(folder / "IM050", enforce_file_format=True)
    (folder / "deeper").mkdir()
    volume = read_volume(folder)
    assert volume.data.shape[-1] == 3
    assert volume.warnings == (
        "5 files are no DICOM images and were passed over: .DS_Store, ._IM007x, DICOMDIR.xml, IM050, notes",
    )


def test_names_that_break_lines(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(2))
    (folder / "a\nb").touch()
    (folder / os.fsdecode(b"\xff.txt")).touch()
    (warning,) = read_volume(folder).warnings
    assert warning == "2 files are no DICOM images and were passed over: a?b, ?.txt"


def test_many_other_files(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(2))
    for n in range(60):
        (folder / f"{n:02}.txt").touch()
    (warning,) = read_volume(folder).warnings
    assert warning.startswith("60 files are no DICOM images and were passed over: 00.txt, 01.txt")
    assert warning.endswith("48.txt, 49.txt and 10 more")


def test_image_class_without_pixels(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3))
    dataset(CT, "1.2.826.0.1.1").save_as(folder / "x.dcm", enforce_file_format=True)
    refused(folder, "x.dcm: truncated or damaged slice: no pixels in it")


def test_slices_without_preamble(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3))
    for path in folder.iterdir():
        data = path.read_bytes()
        path.write_bytes(data[132:])
    assert holds_series(folder)
    assert (read_volume(folder).data == hounsfield(range(3))).all()


@pytest.mark.parametrize("kind", ["fifo", "broken link", "link loop"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    folder = write_series(tmp_path / "s", range(3))
    odd = folder / "IM021"
    if kind == "fifo":
        os.mkfifo(odd)
    else:
        odd.symlink_to(odd if kind == "link loop" else tmp_path / "nothing")
    refused(folder, "IM021: (not a regular file|cannot be read)")
    odd.rename(folder / "other")
    (warning,) = read_volume(folder).warnings
    assert warning.endswith("passed over: other")


def test_linked_slices(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3))
    shutil.move(folder / "IM007", tmp_path / "elsewhere")
    (folder / "IM007").symlink_to(tmp_path / "elsewhere")
    assert (read_volume(folder).data == hounsfield(range(3))).all()


def test_slice_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "s", range(3))
    secret, opened = folder / "IM007", Path.open

    def denied(path: Path, *args: object) -> object:
        if path == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    refused(folder, "IM007: cannot be read: Permission denied")


def test_too_few_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "s", range(3))
    opened = Path.open

    def scarce(path: Path, *args: object) -> object:
        if path.name == "IM014":
            raise OSError(24, "Too many open files", str(path))
        return opened(path, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", scarce)
    with pytest.raises(ResourceError, match="IM014: cannot be read: Too many open files"):
        read_volume(folder)


def test_folder_of_slices_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "s", range(3))

    def denied(path: Path, *args: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="IM000: cannot be read: Permission denied"):
        choose_input(folder)


def test_no_word_of_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """Invalid values of every kind: pydicom would quote them in warnings."""
    folder = write_series(tmp_path / "s", range(3))
    secret = b"SECRET^NAME"
    for path in folder.iterdir():
        data = path.read_bytes()
        at = data.index(b"\x10\x00\x10\x00PN")
        element = b"\x10\x00\x10\x00PN" + len(secret + b" ").to_bytes(2, "little") + secret + b" "
        wrong_uid = b"\x20\x00\x0d\x00UI" + len(secret + b"\0").to_bytes(2, "little") + secret + b"\0"
        path.write_bytes(
            data[:at] + element + data[at + 12 :].replace(b"\x20\x00\x0d\x00UI\x0c\x00" + b"1.2.826.0.1\0", wrong_uid)
        )
    with caplog.at_level(0):
        volume = read_volume(folder)
    assert secret.decode() not in caplog.text + str(volume.warnings) + str([str(w.message) for w in recwarn])
    assert secret in (folder / "IM007").read_bytes()
