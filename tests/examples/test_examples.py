"""The examples: valid configurations, right labels, and a Dockerfile as for the old operator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dockerfile
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from operator_helpers import write_nifti

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.config.load import load_config

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPLEEN = EXAMPLES / "my_custom_app" / "config" / "config_inference.json"
OWN = EXAMPLES / "own_transform" / "config_inference.json"
OWN_INFERER = EXAMPLES / "own_inferer" / "config_inference.json"
OWN_WRITER = EXAMPLES / "own_writer" / "config_inference.json"
MONAI_DEPLOY = EXAMPLES / "from_monai_deploy" / "config" / "config_inference.json"
PROGRAM = Path(sys.executable).parent / "gpu-infer"

RANGES = {
    SPLEEN: (-57.0, 164.0),
    OWN: (-160.0, 240.0),
    OWN_INFERER: (-57.0, 164.0),
    OWN_WRITER: (-57.0, 164.0),
    MONAI_DEPLOY: (-57.0, 164.0),
}
"""Intensities that become 0 and 1: those of the spleen, and 40 ± 400 / 2."""

SPACING_MM = dict.fromkeys(RANGES, (1.0, 1.0, 1.0)) | {MONAI_DEPLOY: (1.5, 1.5, 2.9)}
"""Spacing that the model expects: a volume with it is not resampled."""


def gpu_infer(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user of the examples does, in another process with PYTHONPATH."""
    folders = os.pathsep.join(str(path.parent) for path in (OWN, OWN_INFERER, OWN_WRITER))
    environ = os.environ | {"PYTHONPATH": folders}
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=False, timeout=300)


def scaled(values: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    low, high = RANGES[path]
    return np.clip((values - low) / (high - low), 0, 1)


@pytest.fixture
def volume() -> NDArray[np.int16]:
    return np.random.default_rng(3).integers(-300, 400, (24, 21, 19), np.int16)


def test_every_configuration_of_the_examples_is_in_this_test() -> None:
    assert set(EXAMPLES.rglob("config_inference.json")) == RANGES.keys()


@pytest.mark.parametrize("path", RANGES, ids=lambda path: str(path.relative_to(EXAMPLES).parts[0]))
def test_validate_accepts_a_configuration(path: Path) -> None:
    done = gpu_infer("validate", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{path}: valid\n")
    assert "warning" not in done.stdout


def test_labels_of_the_spleen_operator_have_names_and_codes() -> None:
    spleen = load_config(SPLEEN, {}).labels[1]
    assert (spleen.name, spleen.type and spleen.type.value) == ("spleen", "78961009")


def test_the_own_transform_runs_in_the_pass_that_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(OWN.parent))
    line = load_config(OWN, {}).pipeline().describe()[0]
    assert line == "1. image: LoadNifti + ConvertToChannelsFirst + WindowLevel(center=40, width=400), one pass"


def test_values_of_the_own_transform(monkeypatch: pytest.MonkeyPatch, volume: NDArray[np.int16]) -> None:
    monkeypatch.syspath_prepend(str(OWN.parent))
    transform: Any = load_config(OWN, {}).pre[2]
    backend, out = CpuBackend(), np.empty((1, *volume.shape), np.float32)
    backend.resample(volume[None], out, None, transform.function(None), ClampedAffine())
    np.testing.assert_allclose(out[0], scaled(volume.astype(float), OWN), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("path", RANGES, ids=lambda path: str(path.relative_to(EXAMPLES).parts[0]))
def test_labels_of_a_run(path: Path, tmp_path: Path, triton_server: Any, volume: NDArray[np.int16]) -> None:
    """The toy model's scores are (0.5, x), so label 1 is where the prepared image exceeds 0.5."""
    case = write_nifti(tmp_path / "case.nii.gz", volume, np.diag([*SPACING_MM[path], 1.0]))
    out = tmp_path / "out"
    options = ["--config", path, "--model", "threshold_half", "--roi", "16,16,16", "--triton", triton_server.grpc]
    done = gpu_infer(
        "run", "--input", case, "--output", out, "--logs", tmp_path / "logs", "--publish", "", "--wait", "30", *options
    )
    assert done.returncode == 0, done.stderr
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "case.mhd"))).transpose(2, 1, 0)
    prepared = scaled(volume.astype(float), path)
    assert 0.1 < np.mean(prepared > 0.5) < 0.9
    np.testing.assert_array_equal(labels, prepared > 0.5)
    if path == OWN_WRITER:
        header, row = (out / "case.boxes.csv").read_text(encoding="utf-8").splitlines()
        assert header == "label,name,i_first,i_last,j_first,j_last,k_first,k_last"
        places = np.argwhere(prepared > 0.5)
        first = np.maximum(places.min(0) - 1, 0)
        last = np.minimum(places.max(0) + 1, np.array(prepared.shape) - 1)
        assert row == ",".join(["1", "label 1", *(str(n) for pair in zip(first, last, strict=True) for n in pair)])


# -- the Dockerfile -------------------------------------------------------------------------------------------------
def test_the_dockerfile_is_the_old_operators_but_for_from() -> None:
    path = EXAMPLES / "my_custom_app" / "Dockerfile"
    assert [item.name for item in dockerfile.read(path)] == ["FROM", "ENV", "COPY"]
    (stage,) = dockerfile.stages(path)
    assert stage.base == "gpu_infer"
    env = dockerfile.environment(path)[stage.name]
    ((sources, origin, destination),) = dockerfile.copies(stage)
    assert origin is None
    files = sorted(file.name for source in sources for file in EXAMPLES.glob(source))
    assert files == ["config_inference.json", "labels.json"]
    assert dockerfile.fill(destination, env) == "./app_base_inference_v2/config/"
