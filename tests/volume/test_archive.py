"""Zip archives: unpacked into a folder that disappears, hostile ones refused before anything is written."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume import archive as archives
from gpu_infer.volume.archive import remove_abandoned, unpack


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def packed(path: Path, fill: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        fill(out)
    return path


def refused(path: Path, message: str, error: type[Exception] = InputError) -> None:
    with pytest.raises(error, match=message) as caught, unpack(path):
        pass
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert list((path.parent / "tmp").iterdir()) == []
    assert {entry.name for entry in path.parent.iterdir()} <= {path.name, "tmp"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_files_folders_and_permissions(tmp_path: Path, temporary: Path, method: int) -> None:
    def fill(out: zipfile.ZipFile) -> None:
        out.mkdir("a")
        out.writestr("a/b/IM1", b"one")
        out.writestr("Ä é.dcm", b"two")
        out.writestr("empty", b"")

    path = packed(tmp_path / "exam.ZIP", fill, method)
    path.chmod(0o640)
    with unpack(path) as folder:
        assert folder.name == "exam"
        files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
        assert {name: p.read_bytes() for name, p in files.items()} == {
            "a/b/IM1": b"one",
            "Ä é.dcm": b"two",
            "empty": b"",
        }
        assert {stat.S_IMODE(p.stat().st_mode) for p in files.values()} == {0o640}
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil", "a/.."])
def test_a_name_outside_of_the_archive(tmp_path: Path, name: str) -> None:
    def fill(out: zipfile.ZipFile) -> None:
        out.writestr("IM1", b"fine")
        out.writestr(zipfile.ZipInfo(name), b"evil")

    refused(packed(tmp_path / "x.zip", fill), "file 2 of 2: a name outside of the archive")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_device(tmp_path: Path, kind: int) -> None:
    def fill(out: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo("IM1")
        entry.external_attr = (kind | 0o777) << 16
        out.writestr(entry, "/etc/passwd")

    refused(packed(tmp_path / "x.zip", fill), "a link or device, expected regular files")


def test_a_bomb(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", lambda out: out.writestr("IM1", bytes(64 << 20)))
    path_size = path.stat().st_size
    assert path_size < 100_000
    refused(path, r"67108864 bytes from \d+, expected at most 1000 times as many")


def test_a_size_that_lies(tmp_path: Path) -> None:
    """A header that declares fewer bytes than the stream holds: no more than declared is written."""
    path = packed(tmp_path / "x.zip", lambda out: out.writestr("IM1", bytes(range(256)) * 64))
    content = path.read_bytes().replace(struct.pack("<L", 16384), struct.pack("<L", 100))
    path.write_bytes(content)
    refused(path, "damaged or no zip")


def test_too_many_files_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(out: zipfile.ZipFile) -> None:
        for number in range(5):
            out.writestr(f"IM{number}", bytes(1000))

    path = packed(tmp_path / "x.zip", fill)
    monkeypatch.setattr(archives, "MOST_FILES", 4)
    refused(path, "5 files, expected at most 4")
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(archives, "MOST_BYTES", 4999)
    refused(path, "5000 bytes unpacked, expected at most 4999")


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "x.zip", lambda out: out.writestr("IM1", bytes(1000)))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 999}))
    refused(path, "no space to unpack it in .*TMPDIR", ResourceError)


def test_encrypted(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", lambda out: out.writestr("IM1", b"secret"))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    refused(path, "encrypted, expected files without a password")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    def fill(out: zipfile.ZipFile) -> None:
        out.writestr("IM1", b"a")
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("IM1", b"b")

    refused(packed(tmp_path / "x.zip", fill), "two files of one name")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\5\6" + bytes(10)])
def test_no_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    refused(path, "damaged or no zip")


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_byte_is_an_error_or_harmless(tmp_path: Path, temporary: Path, seed: int) -> None:
    path = packed(tmp_path / "x.zip", lambda out: out.writestr("IM1", bytes(range(256)) * 8))
    content = bytearray(path.read_bytes())
    content[seed * len(content) // 40] ^= 0xFF
    path.write_bytes(content)
    try:
        with unpack(path):
            pass
    except (InputError, ResourceError) as error:
        assert str(path) in str(error)
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_has_unpacked_is_removed(tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / "x.zip", lambda out: out.writestr("IM1", b"one"))
    code = (
        "import os, signal, sys; from pathlib import Path; from gpu_infer.volume.archive import unpack\n"
        "with unpack(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False, timeout=60)
    (abandoned,) = temporary.iterdir()
    assert (abandoned / "x" / "IM1").read_bytes() == b"one"
    with unpack(path) as folder:
        assert list(temporary.iterdir()) == [folder.parent]
        assert remove_abandoned() == []  # that of a living process stays
        assert folder.is_dir()
