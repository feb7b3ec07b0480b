"""The demo's job on the real chest CT: Dice against a classical lung mask, geometry, files, nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def classical_lungs(hu: NDArray[np.int16], voxel_ml: float) -> NDArray[np.bool_]:
    """Air below −400 HU that does not reach the border of any slice's frame, components over 300 ml, closed."""
    components, _ = ndimage.label(hu < -400)
    edge = [components[:, 0], components[:, -1], components[:, :, 0], components[:, :, -1]]
    outside = np.unique(np.concatenate([face.ravel() for face in edge]))
    sizes = np.bincount(components.ravel()) * voxel_ml
    keep = sizes > 300.0
    keep[outside] = False
    keep[0] = False
    return np.asarray(ndimage.binary_closing(keep[components], iterations=2))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        [sys.executable, "-m", "gpu_infer", "demo", "--output", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    stdout, stderr = process.communicate(timeout=1100)
    assert process.returncode == 0, stderr
    assert not list(Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"))
    return folder, stdout


def find(folder: Path, pattern: str) -> Path:
    files = sorted(folder.rglob(pattern))
    assert files, f"{pattern} not below {folder}: {sorted(folder.rglob('*'))}"
    return files[0]


def test_dice_and_geometry(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    source = sitk.ReadImage(str(find(folder, "lung2*.nii.gz")))
    labels = sitk.ReadImage(str(find(folder / "output", "*.mhd")))
    assert labels.GetSize() == source.GetSize()
    np.testing.assert_allclose(labels.GetSpacing(), source.GetSpacing(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(labels.GetOrigin(), source.GetOrigin(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(labels.GetDirection(), source.GetDirection(), rtol=0, atol=1e-9)

    ours = sitk.GetArrayFromImage(labels) == 1
    lungs = classical_lungs(sitk.GetArrayFromImage(source), float(np.prod(source.GetSpacing())) / 1000)
    dice = 2 * np.sum(ours & lungs) / (ours.sum() + lungs.sum())
    print(f"Dice of the lungs: {dice:.4f}")  # noqa: T201
    assert dice >= 0.95


def test_files_and_report(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    report = json.loads(find(folder, "report.json").read_text())
    assert report["status"] == "done"
    assert report["triton"]["data"] == "system_shm"
    assert f"{report['labels']['1']['ml']:.0f}" in printed.replace(",", "")
    published = {path.name for path in find(folder, "config.meta").parent.iterdir()}
    assert {"config.meta", "config_render.json"} <= published
    assert {Path(name).suffix for name in published} >= {".mhd", ".raw", ".json", ".meta"}
    assert find(folder, "*.preview.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    hidden = [path for path in folder.rglob("*") if path.name.startswith(".") or "tmp" in path.name]
    assert hidden == []
