"""Strip by strip with a real server: the files are those of the whole volume, and a failed run leaves none."""

from __future__ import annotations

import errno
import filecmp
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from operator_helpers import config, operate

from bench.large import compare, make_phantom, run_side, write_configuration
from bench.support.addresses import Addresses
from gpu_infer.errors import ConfigError, ModelError, ResourceError
from gpu_infer.planning import strips, volume_choice
from gpu_infer.session import strips_case
from gpu_infer.writers import label_file, label_maps
from gpu_infer.writers.metaimage import HEADER_BYTES

pytestmark = pytest.mark.slow

SHAPE = (60, 50, 70)
OPTIONS = {"device": "cpu", "formats": ("mhd", "nii.gz", "nii", "nrrd", "mha")}


@pytest.fixture(autouse=True)
def every_volume_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)


def whole_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with too little memory for the whole volume; strips fit as they do here."""
    fit = volume_choice.fit_memory

    def fit_strips(plan: Any, free: Any) -> Any:
        if not plan.knobs.strips:
            raise ResourceError("too little memory", remedy="none")
        return fit(plan, free)

    monkeypatch.setattr(volume_choice, "fit_memory", fit_strips)


def write_case(folder: Path, name: str) -> None:
    voxels = np.random.default_rng(4).integers(0, 1000, SHAPE).astype(np.int16)
    image = nib.Nifti1Image(voxels, np.diag([-0.8, -0.8, 1.6, 1.0]))
    image.header.set_slope_inter(0.001, 0.0)
    (folder / "input").mkdir(exist_ok=True)
    nib.save(image, folder / "input" / name)


@pytest.mark.parametrize("name", ["case.nii", "case.nii.gz"])
@pytest.mark.parametrize("resolution", [None, (1.1, 0.7, 1.3)])
def test_the_files_are_those_of_the_whole_volume(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, name: str, resolution: Any
) -> None:
    write_case(tmp_path, name)
    content = config("threshold_half", resolution=resolution, roi_size=[24, 16, 20])
    whole = operate(tmp_path, triton_server, content, output=tmp_path / "whole", **OPTIONS)
    whole_does_not_fit(monkeypatch)
    in_strips = operate(tmp_path, triton_server, content, output=tmp_path / "strips", **OPTIONS)
    assert (whole.data["plan"]["strips"], in_strips.data["plan"]["strips"]) == (False, True)
    assert in_strips.data["labels"] == whole.data["labels"]
    assert in_strips.data["input"] == whole.data["input"]
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "strips").iterdir()) == files
    for file in files:
        assert filecmp.cmp(tmp_path / "whole" / file, tmp_path / "strips" / file, shallow=False), file
    if resolution is None:
        labels = nib.load(tmp_path / "strips" / "case.nii").get_fdata()
        voxels = nib.load(tmp_path / "input" / name).get_fdata(dtype=np.float32)
        np.testing.assert_array_equal(labels, voxels > np.float32(0.5))


@pytest.mark.parametrize("data", ["cuda_shm", "system_shm", "inline"])
def test_slots_of_a_simulated_gpu(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, no_leftovers: None, data: str
) -> None:
    """Its memory stays below the plan; with CUDA shared memory no window crosses the bus."""
    write_case(tmp_path, "case.nii")
    content = config("threshold_half", resolution=(1.1, 0.7, 1.3), roi_size=[24, 16, 20])
    options = {**OPTIONS, "formats": ("mhd",)}
    whole = operate(tmp_path, triton_server, content, output=tmp_path / "whole", **options)
    whole_does_not_fit(monkeypatch)
    with simulated_cupy(), pytest.MonkeyPatch.context() as patch:
        open_segments_as_cuda(patch)
        options |= {"device": "gpu", "require": data}
        ours = operate(tmp_path, triton_server, content, output=tmp_path / "strips", **options)
    assert (ours.data["device"], ours.data["plan"]["strips"]) == ("gpu", True)
    assert ours.data["triton"]["data"] == data
    assert ours.raw is not None
    assert whole.raw is not None
    assert filecmp.cmp(ours.raw, whole.raw, shallow=False)
    assert ours.data["gpu"]["peak_device_bytes"] <= ours.data["memory"]["planned_device_peak_bytes"]
    if data == "cuda_shm":
        assert ours.data["gpu"]["tile_bytes_up"] == ours.data["gpu"]["tile_bytes_down"] == 0


def test_a_large_volume_stays_below_the_planned_memory(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """512³ voxels of 16 bits, which take 1.4 GiB whole, where 0.8 GiB are free beside the program."""
    monkeypatch.undo()
    shape = (512, 512, 512)
    path = make_phantom(tmp_path / "case.mhd", shape)
    settings = write_configuration(tmp_path, 128)
    report = run_side(path, tmp_path / "out", settings, Addresses.of(triton_server), "mhd", 0.8)
    assert (report["triton"]["control"], report["triton"]["data"]) == ("http", "system_shm")
    assert report["plan"]["strips"]
    assert compare(path, tmp_path / "out" / "case.mhd", shape) == 0
    assert report["peak_rss_bytes"] <= report["memory"]["planned_peak_bytes"] < 0.7 * 2**30


def test_a_model_that_answers_nan_leaves_no_file(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path, "case.nii")
    whole_does_not_fit(monkeypatch)
    with pytest.raises(ModelError, match="answered NaN"):
        operate(tmp_path, triton_server, config("answers_nan", roi_size=[24, 16, 20]), **OPTIONS)
    assert list((tmp_path / "output").iterdir()) == []
    assert json.loads((tmp_path / "logs" / "report.json").read_text())["status"] == "failed"


def test_a_label_that_the_output_cannot_hold_leaves_no_file(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path, "case.nii")
    whole_does_not_fit(monkeypatch)
    content = config("label300", roi_size=[24, 16, 20])
    with pytest.raises(ConfigError, match="label 300 does not fit the output dtype uint8"):
        operate(tmp_path, triton_server, content, **OPTIONS)
    assert list((tmp_path / "output").iterdir()) == []


def test_a_disk_that_is_full_leaves_no_file(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path, "case.nii")
    whole_does_not_fit(monkeypatch)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(label_file.os, "pwrite", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        operate(tmp_path, triton_server, config("threshold_half", roi_size=[24, 16, 20]), **OPTIONS)
    assert list((tmp_path / "output").iterdir()) == []


@pytest.mark.parametrize(("form", "copies"), [("mhd", 0), ("nii", 1)])
def test_space_for_all_files_is_asked_for_before_the_inference(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, form: Any, copies: int
) -> None:
    """An .mhd needs no more than the label file that it takes over; a run must not be refused at its end."""
    write_case(tmp_path, "case.nii")
    whole_does_not_fit(monkeypatch)
    asked: list[int] = []
    for module in (strips_case, label_maps):
        monkeypatch.setattr(module, "check_space", lambda _, nbytes: asked.append(nbytes))
    operate(tmp_path, triton_server, config("threshold_half", roi_size=[24, 16, 20]), device="cpu", formats=(form,))
    nbytes = SHAPE[0] * SHAPE[1] * SHAPE[2]
    beside = copies * nbytes + HEADER_BYTES
    assert asked == [nbytes + beside, beside]
