"""One file, whole or not at all: content, mode, failures, and readers meanwhile."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from gpu_infer.system.atomic_file import replace_bytes, replace_text, sync


def test_text_and_bytes_replace_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for text in ("first\n", "second: 5 × 4 µm\n"):
        replace_text(path, text)
        assert path.read_bytes() == text.encode("utf-8")
    replace_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    replace_text(path, "older")
    path.chmod(0o600)
    before = os.umask(0o027)
    try:
        replace_text(path, "newer")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_name_of_255_bytes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    replace_text(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_older_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "a"
    replace_text(path, "older")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(error)):
        replace_text(path, "newer")
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_text(tmp_path / "lost" / "a", "text")


def test_readers_see_one_whole_text(tmp_path: Path) -> None:
    path = tmp_path / "a"
    texts = [letter * 100_000 for letter in "ab"]
    replace_text(path, texts[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            replace_text(path, texts[turn % 2])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {path.read_text() for _ in range(200)} <= set(texts)
    finally:
        stop.set()
        writer.join()


def test_sync_takes_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    sync(tmp_path / "a")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "lost")
