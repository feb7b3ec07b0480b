"""The GPU bundle: the Python that it carries, and that it fits an upload together with the checkout."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def bundle_python() -> Any:
    return importlib.import_module("deploy.gpu_check.bundle_python")


@pytest.fixture
def gpu_bundle(bundle_python: Any) -> Any:
    return importlib.import_module("deploy.gpu_check.bundle")


def python(folder: Path, *, answer: str | None = None, shared: bool = True) -> Path:
    """A stand-in for python3.12 in `folder`/bin; without an answer it fails, as that of a version manager."""
    program = folder / "bin" / "python3.12"
    program.parent.mkdir(parents=True)
    body = f"printf '{answer}'" if answer is not None else "echo 'command not found' >&2; exit 127"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    if shared:
        (folder / "lib").mkdir()
        (folder / "lib" / "libpython3.12.so.1.0").write_bytes(b"library")
    return program


def variables(home: Path, *folders: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.pathsep.join(str(folder / "bin") for folder in folders)}


def test_the_first_python_that_runs_and_is_shared_is_taken(bundle_python: Any, tmp_path: Path) -> None:
    """As on a machine with pyenv: its shim comes first on PATH and answers for a Python that is not there."""
    shims, static, home = tmp_path / "shims", tmp_path / "static", tmp_path / "home"
    real = home / ".pyenv" / "versions" / "3.12.1"
    python(shims)
    python(static, answer=f"True\\n{static}\\n", shared=False)
    program = python(real, answer=f"True\\n{real}\\n")
    actual = bundle_python.find_python(variables(home, shims, static))
    assert (actual.program, actual.prefix) == (program, real)


def test_no_python_is_an_error_that_names_each_with_its_reason(bundle_python: Any, tmp_path: Path) -> None:
    shims, static, other = tmp_path / "shims", tmp_path / "static", tmp_path / "other"
    python(shims)
    python(static, answer=f"True\\n{static}\\n", shared=False)
    python(other, answer=f"False\\n{other}\\n")
    with pytest.raises(bundle_python.PythonMissing) as caught:
        bundle_python.find_python(variables(tmp_path, shims, static, other))
    message = str(caught.value)
    assert "\n" not in message
    assert f"{shims}/bin/python3.12 does not run as Python 3.12" in message
    assert f"{static}/bin/python3.12 has no {static}/lib/libpython3.12.so.1.0" in message
    assert f"{other}/bin/python3.12 does not run as Python 3.12" in message
    assert "--without-python" in message


def test_without_any_candidate_the_places_are_named(bundle_python: Any, tmp_path: Path) -> None:
    with pytest.raises(bundle_python.PythonMissing, match=r"none on PATH or in ~/\.pyenv"):
        bundle_python.find_python({"HOME": str(tmp_path), "PATH": str(tmp_path)})


def test_the_command_ends_with_one_line_if_there_is_no_python(tmp_path: Path) -> None:
    # git and the interpreter need no PATH, or are not needed before this error
    done = subprocess.run(
        [sys.executable, "-m", "deploy.gpu_check.bundle", "--folder", tmp_path],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("no python3.12 with libpython3.12.so.1.0 for the bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [False, True])
def test_an_archive_gets_its_name_only_with_the_library(gpu_bundle: Any, tmp_path: Path, missing: bool) -> None:
    root = tmp_path / "gpu-bundle"
    (root / "python" / "lib").mkdir(parents=True)
    (root / "manifest.json").write_text("{}")
    if not missing:
        (root / "python" / "lib" / "libpython3.12.so.1.0").write_bytes(b"library")
    archive = tmp_path / "dist" / "gpu-bundle.tar.xz"
    if missing:
        with pytest.raises(gpu_bundle.PythonMissing, match=r"holds no gpu-bundle/python/lib/libpython3\.12\.so\.1\.0"):
            gpu_bundle.pack(root, archive, with_python=True)
        assert list(archive.parent.iterdir()) == []
    else:
        gpu_bundle.pack(root, archive, with_python=True)
        with tarfile.open(archive) as tar:
            assert "gpu-bundle/python/lib/libpython3.12.so.1.0" in tar.getnames()
    gpu_bundle.pack(root, archive, with_python=False)
    assert archive.exists()


def test_archive_and_checkout_together_have_a_limit(gpu_bundle: Any) -> None:
    mib = 1 << 20
    assert gpu_bundle.oversize(58 * mib, 5 * mib) is None
    message = gpu_bundle.oversize(58 * mib, 5 * mib + 1)
    assert message.startswith(
        "archive 58.00 MiB + files of the checkout that git does not ignore 5.00 MiB = 63.00 MiB, more than 63 MiB: "
    )


def test_the_checkout_counts_tracked_and_untracked_files_but_no_ignored_ones(gpu_bundle: Any, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("dist/\n")  # 6 bytes
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "archive").write_bytes(bytes(1000))
    (tmp_path / "tracked").write_bytes(bytes(30))
    (tmp_path / "gone").write_bytes(bytes(500))
    subprocess.run(["git", "add", "tracked", "gone"], cwd=tmp_path, check=True)
    (tmp_path / "gone").unlink()
    (tmp_path / "untracked").write_bytes(bytes(400))
    assert gpu_bundle.checkout_bytes(tmp_path) == 6 + 30 + 400


def test_nothing_is_demanded_of_the_host_that_pytest_does_not_need(gpu_bundle: Any) -> None:
    assert "attrs" not in gpu_bundle.EXPECTED
    assert {"pytest", "hypothesis", "cupy", "numpy"} <= gpu_bundle.EXPECTED


def test_of_the_tests_only_those_of_a_gpu_go_along(gpu_bundle: Any, tmp_path: Path) -> None:
    gpu_bundle.add_checkout(tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"tests/contract/test_contract_gpu.py", "tests/contract/windows_contract.py", "tests/conftest.py"} <= names
    assert {"tests/support/fakecuda/exceptions.py", "tests/models/slow/1/model.py", "bench/kernels.py"} <= names
    assert {"examples/own_inferer/centre_windows.py", "examples/own_writer/box_table.py"} <= names
    assert "tests/contract/test_contract_cpu.py" not in names
    assert not [name for name in names if name.endswith(".png")]


def test_a_wheel_without_compression_has_the_same_files(tmp_path: Path, gpu_bundle: Any) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/__init__.py", "x = 1\n" * 1000)
        program = zipfile.ZipInfo("a-1.data/scripts/tool")
        program.external_attr = 0o755 << 16
        archive.writestr(program, "#!/bin/sh\n")
    gpu_bundle.store_uncompressed(wheel)
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("a/__init__.py") == b"x = 1\n" * 1000
        assert [(info.compress_type, info.external_attr >> 16) for info in archive.infolist()][1] == (0, 0o755)
        assert archive.testzip() is None
