"""The wheel carries everything that a run needs, and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from gpu_infer.writers.page.asset import has_viewer

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    program = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*program, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    (path,) = folder.glob("gpu_infer-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin folder of a fresh environment with the wheel, and with this environment's other packages.

    The other packages are seen through a .pth file that only appends their folder to sys.path: .pth files
    inside that folder, the one that leads to the checkout among them, are not read.
    """
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    program = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    subprocess.run([*program, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def _run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "gpu_infer/py.typed" in names
    data = "gpu_infer/_data/"
    packaged = {name.removeprefix(data) for name in names if name.startswith(data)}
    tracked = subprocess.run(
        ["git", "ls-files", "config", "models"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    ).stdout.split()
    assert set(tracked) <= packaged
    for file in ("config_inference.json", "config_render.json", "logging_config.json"):
        assert f"config/{file}" in packaged
    for file in ("config.pbtxt", "1/model.py", "1/lung_ct_demo.onnx"):
        assert f"models/segmentation_ct_lung_v1/{file}" in packaged
    page = "gpu_infer/writers/page/"
    assert {f"{page}{name}" for name in ("page.html", "page.css", "page.js", "niivue.licence.txt")} <= names
    assert (f"{page}niivue.umd.js" in names) == has_viewer(), "the build fetches it into the checkout if it can"
    assert not [name for name in names if name.startswith(("tests/", "bench/")) or "__pycache__" in name]


def test_resources_are_the_packaged_ones(environment: Path, tmp_path: Path) -> None:
    code = (
        "import gpu_infer; from gpu_infer.system.resources import resource_folder;"
        "print(gpu_infer.__file__, resource_folder('config'), resource_folder('models'))"
    )
    done = _run(environment / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    package, config, models = (Path(text) for text in done.stdout.split())
    assert package.is_relative_to(environment.parent)
    assert not package.is_relative_to(ROOT)
    assert (config, models) == (package.parent / "_data" / "config", package.parent / "_data" / "models")


def test_console_script(environment: Path, tmp_path: Path) -> None:
    done = _run(environment / "gpu-infer", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "validate" in done.stdout


def test_validate_the_packaged_configuration(environment: Path, tmp_path: Path) -> None:
    folder = next(environment.parent.glob("lib/python*/site-packages/gpu_infer/_data/config"))
    done = _run(environment / "gpu-infer", "validate", str(folder / "config_inference.json"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ScaleByResolution" in done.stdout
    assert done.stdout.rstrip().endswith(": valid")
