"""The sha256 of the files that were read, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gpu_infer.report import Report
from gpu_infer.volume.file_hash import FileHash
from gpu_infer.volume.file_state import file_states


def digest_of(files: list[Path], states: list[Path]) -> FileHash:
    return FileHash(files, file_states(states))


def test_the_bytes_of_all_files_in_order(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    files[0].write_bytes(b"header")
    files[1].write_bytes(b"voxels")
    work = digest_of(files, files)
    assert work.digest(wait=False) is None
    work.start()
    assert work.digest(wait=True) == hashlib.sha256(b"headervoxels").hexdigest()


def test_a_file_that_changed_after_it_was_read_has_none(tmp_path: Path) -> None:
    """The labels are those of the first one."""
    path = tmp_path / "a"
    path.write_bytes(b"first")
    work = digest_of([path], [path])
    path.write_bytes(b"longer")
    work.start()
    assert work.digest(wait=True) is None
    path.unlink()
    work = FileHash([path], {})
    work.start()
    assert work.digest(wait=True) is None


def test_the_report_warns_of_it(tmp_path: Path) -> None:
    report = Report()
    path = tmp_path / "a"
    path.write_bytes(b"first")
    report._hash = digest_of([path], [path])
    path.write_bytes(b"longer")
    report._hash.start()
    report.wait_for_hash()
    report.finish("done")
    assert report.data["warnings"] == ["the input changed after it was read: the report has no sha256 of it"]
    assert report.data["input"]["sha256"] is None
