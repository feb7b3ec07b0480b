"""Hidden folders of killed runs are found and removed, those of running ones are not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from other_user import holds_for_another_user, needs_two_users, open_parents

from gpu_infer.doctor.examine import examine
from gpu_infer.doctor.folders import check_unfinished, remove_archives
from gpu_infer.settings import Settings
from gpu_infer.writers.atomic import open_stage
from gpu_infer.writers.unfinished import Unfinished, find_unfinished

WRITER = """
import sys, time
from pathlib import Path
from gpu_infer.writers.atomic import open_stage
with open_stage(Path(sys.argv[1]), "ct") as stage:
    (stage / "ct.raw").write_bytes(bytes(100))
    print(stage, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8")


def test_a_killed_run(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    with writer:
        assert writer.stdout is not None
        stage = Path(writer.stdout.readline().strip())
        assert find_unfinished(tmp_path) == Unfinished(living=[stage])
        (check,) = check_unfinished("output", tmp_path, clean=True)
        assert (check.status, check.found) == ("ok", f"written to by a run that goes on: {stage}")
        assert (stage / "ct.raw").exists()
        writer.send_signal(signal.SIGKILL)
    assert find_unfinished(tmp_path) == Unfinished(dead=[stage])  # at once, however young it is

    (check,) = check_unfinished("output", tmp_path, clean=False)
    assert (check.status, check.found) == ("warn", f"left by a killed run: {stage}")
    assert check.remedy == "gpu-infer doctor --clean puts older outputs back and removes it"
    (check,) = check_unfinished("output", tmp_path, clean=True)
    assert (check.status, check.found) == ("ok", f"removed: {stage}")
    assert list(tmp_path.iterdir()) == []
    assert check_unfinished("output", tmp_path, clean=True) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / ".notes.abcdefgh.partial").write_text("a file")
    (tmp_path / ".backup.abcdefgh.partial").mkdir()
    (tmp_path / ".backup.abcdefgh.partial/photo.jpg").write_bytes(b"mine")
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / ".link.abcdefgh.partial").symlink_to(target)
    (tmp_path / ".own.partial").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with open_stage(tmp_path, "mine") as stage:
        assert find_unfinished(tmp_path) == Unfinished(living=[stage])
    assert check_unfinished("output", tmp_path, clean=True) == []
    assert sorted(tmp_path.rglob("*")) == before
    assert find_unfinished(tmp_path / "missing") == Unfinished()


def test_an_older_output_in_the_folder_of_a_killed_run_comes_back(tmp_path: Path) -> None:
    """As version 0.1.0 left it: no journal, and the older header nowhere else."""
    aside = tmp_path / ".ct.abcdefgh.partial/replaced"
    aside.mkdir(parents=True)
    (aside / "ct.mhd").write_text("older")
    put_back, removed = check_unfinished("output", tmp_path, clean=True)
    assert put_back.found == f"older output put back: {tmp_path / 'ct.mhd'}"
    assert removed.found == f"removed: {aside.parent}"
    assert [p.name for p in tmp_path.iterdir()] == ["ct.mhd"]
    assert (tmp_path / "ct.mhd").read_text() == "older"


def test_an_only_copy_whose_place_is_taken_stays(tmp_path: Path) -> None:
    aside = tmp_path / ".ct.abcdefgh.partial/replaced"
    aside.mkdir(parents=True)
    (aside / "ct.mhd").write_text("older")
    (tmp_path / "ct.mhd").write_text("somebody's")
    (check,) = check_unfinished("output", tmp_path, clean=True)
    assert (check.status, check.exit_code) == ("fail", 5)
    assert check.found.endswith(f"whose place is taken: {aside.parent}")
    assert (aside / "ct.mhd").read_text() == "older"
    assert (tmp_path / "ct.mhd").read_text() == "somebody's"


@needs_two_users
def test_of_another_user(tmp_path: Path) -> None:
    stage = tmp_path / ".ct.abcdefgh.partial"
    stage.mkdir(mode=0o700)
    open_parents(tmp_path)

    def is_warned() -> bool:
        (check,) = check_unfinished("output", tmp_path, clean=True)
        return check.status == "warn" and "of another user (uid 0)" in check.found

    assert holds_for_another_user(is_warned)
    assert stage.exists()


def test_what_killed_runs_have_unpacked_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert remove_archives() == []
    abandoned = tmp_path / "gpu_infer-zip-abc"
    (abandoned / "study").mkdir(parents=True)
    (abandoned / "lock").touch()
    (tmp_path / "gpu_infer-zip-new").mkdir()  # of a process that is about to lock it
    (check,) = remove_archives()
    assert (check.status, check.found) == ("ok", f"removed what killed runs had unpacked: {abandoned}")
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_infer-zip-new"]


def test_the_folder_of_pictures_of_a_killed_run_is_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = tmp_path / "case.sc"
    pictures.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(pictures)], stdout=subprocess.PIPE, encoding="utf-8"
    ) as killed:
        assert killed.stdout is not None
        stage = Path(killed.stdout.readline().strip())
        killed.kill()
    monkeypatch.setattr("gpu_infer.doctor.server.check_server", lambda *_, **__: [])
    settings = Settings.from_environment({}, output=tmp_path, publish="")
    texts = [check.found for check in examine(settings, clean=True) if check.name == "output"]
    assert f"removed: {stage}" in texts
    assert list(pictures.iterdir()) == []
