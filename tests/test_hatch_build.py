"""The build hook that fetches the viewer: exact archive or none, and a reason instead of a failure."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import os
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from gpu_infer.writers.page.asset import VIEWER_MARK

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build_of_test", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive_of(content: bytes, member: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for npm that copies `archive.tgz` of its folder; the folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {folder}/arguments\n'
        f"cp {folder}/archive.tgz niivue.tgz || exit 7\n"
        """echo '[{"filename": "niivue.tgz"}]'\n"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_the_marks_of_the_hook_and_the_package_are_the_same(hook: ModuleType) -> None:
    assert hook.MARK == VIEWER_MARK
    assert (ROOT / "gpu_infer/writers/page/niivue.umd.js") == hook.TARGET
    assert base64.b64decode(hook.SHA512, validate=True).__len__() == 64


def test_the_viewer_of_the_exact_archive_is_written(hook: ModuleType, npm: Path, tmp_path: Path) -> None:
    archive = archive_of(b"var niivue;\n", hook.MEMBER)
    (npm / "archive.tgz").write_bytes(archive)
    hook.SHA512 = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    target = tmp_path / "niivue.umd.js"
    assert hook.fetch(target) == ""
    assert target.read_bytes() == VIEWER_MARK + b"var niivue;\n"
    assert "@niivue/niivue@0.69.0" in (npm / "arguments").read_text().split()
    (npm / "archive.tgz").unlink()
    assert hook.fetch(target) == "", "it is there already"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["niivue.umd.js"]


def test_another_archive_is_refused(hook: ModuleType, npm: Path, tmp_path: Path) -> None:
    (npm / "archive.tgz").write_bytes(archive_of(b"evil", hook.MEMBER))
    reason = hook.fetch(tmp_path / "niivue.umd.js")
    assert reason.startswith("@niivue/niivue@0.69.0: found an archive with sha512 ")
    assert reason.endswith(f"expected {hook.SHA512}")
    assert not (tmp_path / "niivue.umd.js").exists()


def test_an_archive_without_the_viewer_is_refused(hook: ModuleType, npm: Path, tmp_path: Path) -> None:
    archive = archive_of(b"", "package/other.js")
    (npm / "archive.tgz").write_bytes(archive)
    hook.SHA512 = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    assert "package/dist/niivue.umd.js" in hook.fetch(tmp_path / "niivue.umd.js")


def test_a_failure_of_npm_is_a_reason(hook: ModuleType, npm: Path, tmp_path: Path) -> None:
    reason = hook.fetch(tmp_path / "niivue.umd.js")
    assert reason.startswith("npm pack @niivue/niivue@0.69.0 failed: ")


def test_without_npm_there_is_a_reason(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = hook.fetch(tmp_path / "niivue.umd.js")
    assert reason == "npm is not installed, so @niivue/niivue@0.69.0 cannot be fetched"
