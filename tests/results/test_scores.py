"""The maps of --scores and --uncertainty: the whole way from the model's outputs to files that other programs read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from cudasim.simulated import simulated_cupy
from local_ring import LocalRing
from numpy.typing import NDArray
from planned_runs import inputs_of, model_of
from scipy.ndimage import zoom
from traced_memory import traced

from gpu_infer import slot_rings
from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.planning.memory_plan import TABLES, Placement
from gpu_infer.planning.run_plan import RunPlan, make_plan
from gpu_infer.report import Report
from gpu_infer.results.scores import check_score_places, score_places, write_scores
from gpu_infer.segment import Segmentation, segment
from gpu_infer.transforms.chain import restore_slabs
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume

SHAPE, WINDOW = (18, 14, 11), (8, 8, 6)
AFFINE = np.array([[0.0, -0.8, 0, 5], [-1.1, 0, 0, 7], [0, 0, -2.0, 9], [0, 0, 0, 1]])
SCALE = {"name": "ScaleByResolution", "args": {"fields": "image", "target_resolution": [1.5, 1.0, 1.0]}}
CROP = {"name": "CropFixedSizeCenter", "args": {"fields": "image", "size": [9, 10, 8]}}


def three_classes(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([4 * tiles - 2, 2 - 3 * tiles, np.sin(20 * tiles)], axis=1).astype(np.float32)


class Transport:
    control, data, server = "grpc", "system_shm", None


class Ring(LocalRing):
    """A slot ring whose model runs in this process."""

    answer: Callable[[Any], Any]

    def __init__(self, _: Any, model: Any, *, slots: int, batch: int, channels_in: int, **options: Any) -> None:
        super().__init__(type(self).answer, slots, batch, channels_in, options["window"])

    def counters(self) -> dict[str, Any]:
        return {}

    def close(self, *, failed: bool = False) -> None:
        pass

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def softmax(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))


def voxels_of() -> NDArray[np.float32]:
    return np.random.default_rng(1).random(SHAPE, dtype=np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Replaces the server by a function [N, 1, …] → [N, K, …]; `three_classes` at first."""
    monkeypatch.setattr(slot_rings, "SlotRing", Ring)

    def use(function: Any) -> None:
        monkeypatch.setattr(Ring, "answer", staticmethod(function), raising=False)

    use(three_classes)
    monkeypatch.setattr(restore_slabs, "SLAB_BYTES", 3 * SHAPE[0] * SHAPE[1] * 4)
    return use


@pytest.fixture(scope="module")
def gpu() -> Iterator[Backend]:
    with simulated_cupy() as module:
        yield module.GpuBackend()


def plan_of(folder: Path, *pre: dict[str, Any], classes: int = 3, **options: Any) -> RunPlan:
    (folder / "out").mkdir(exist_ok=True)
    inputs = inputs_of(folder, SHAPE, dtype=np.float32, pre=pre, options={"output": folder / "out", **options})
    header = replace(inputs.header, geometry=Geometry(SHAPE, AFFINE))
    return make_plan(replace(inputs, header=header), model_of(classes, WINDOW))


def segmented(plan: RunPlan, backend: Backend | None = None, voxels: NDArray[np.float32] | None = None) -> Segmentation:
    transport: Any = Transport()
    data = voxels_of() if voxels is None else voxels
    missing = int(np.isnan(data).sum())
    volume = Volume(data[None], plan.inputs.header.geometry, Path("volume.nii"), "nifti", not_finite=missing)
    return segment(plan, volume, transport, backend or CpuBackend(), Report())


def write(segmentation: Segmentation, report: Report | None = None) -> list[Path]:
    geometry = segmentation.plan.inputs.header.geometry
    return write_scores(segmentation, geometry, report or Report())


def test_nothing_without_the_options(tmp_path: Path) -> None:
    report = Report()
    segmentation = segmented(plan_of(tmp_path))
    assert segmentation.scores is None
    assert write(segmentation, report) == []
    assert "scores" not in report.data
    assert list(report.data["stages"]) == []


@pytest.mark.parametrize("form", ["nii.gz", "nrrd"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_maps_are_the_probabilities_for_every_reader(tmp_path: Path, form: str, dtype: str) -> None:
    plan = plan_of(
        tmp_path,
        scores="2,0",
        uncertainty=True,
        scores_activation="softmax",
        scores_format=form,
        scores_dtype=dtype,
    )
    report = Report()
    paths = write(segmented(plan), report)
    assert [path.name for path in paths] == [f"volume.{name}.{form}" for name in ("2.score", "0.score", "uncertainty")]
    p = softmax(three_classes(voxels_of()[None, None])[0])
    entropy = -(p * np.log(p)).sum(axis=0) / np.log(3)
    tolerance = 0.5 / 255 + 1e-6 if dtype == "uint8" else 2e-6
    for path, expected in zip(paths, (p[2], p[0], entropy), strict=True):
        image = sitk.ReadImage(path)
        values = sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float64)
        if form == "nrrd" and dtype == "uint8":
            assert image.GetPixelID() == sitk.sitkUInt8
            values /= 255
        np.testing.assert_allclose(values, expected, atol=tolerance)
        spacing, origin, direction = plan.inputs.header.geometry.to_itk()
        np.testing.assert_allclose(image.GetSpacing(), spacing, rtol=1e-6)
        np.testing.assert_allclose(image.GetOrigin(), origin, atol=1e-6)
        np.testing.assert_allclose(image.GetDirection(), direction, atol=1e-6)
        if form == "nii.gz":
            loaded = nib.load(path)
            assert loaded.get_data_dtype() == np.dtype(dtype)
            assert (int(loaded.header["qform_code"]), int(loaded.header["sform_code"])) == (1, 1)
            np.testing.assert_allclose(loaded.affine, AFFINE, atol=1e-6)
            np.testing.assert_allclose(loaded.get_fdata(), expected, atol=tolerance)
    section = report.data["scores"]
    assert (section["activation"], section["dtype"], section["precision"]) == ("softmax", dtype, "float32")
    assert [entry.get("label") for entry in section["maps"]] == [2, 0, None]
    assert section["maps"][2]["uncertainty"] is True
    np.testing.assert_allclose(
        [(entry["min"], entry["max"]) for entry in section["maps"]],
        [(values.min(), values.max()) for values in (p[2], p[0], entropy)],
        atol=3e-6,
    )
    assert list(report.data["stages"]) == ["scores"]


@pytest.mark.parametrize("pre", [(), (SCALE,), (CROP,), (SCALE, CROP)], ids=["as is", "scaled", "cropped", "both"])
@pytest.mark.parametrize("slab", [True, False])
def test_labels_have_the_same_bits(tmp_path: Path, pre: tuple[dict[str, Any], ...], slab: bool) -> None:
    without = segmented(plan_of(tmp_path, *pre, slab=slab))
    plan = plan_of(tmp_path, *pre, slab=slab, scores="all", uncertainty=True, scores_activation="softmax")
    result = segmented(plan)
    np.testing.assert_array_equal(result.labels["model"], without.labels["model"])
    assert result.counts == without.counts
    assert len(write(result)) == 4


def test_a_coarser_grid_is_restored_linearly(tmp_path: Path) -> None:
    """The probabilities on the model's grid, resampled by SciPy."""
    plan = plan_of(tmp_path, SCALE, scores="1", scores_activation="softmax", scores_dtype="float32")
    segmentation = segmented(plan)
    assert segmentation.scores is not None
    p = np.asarray(segmentation.scores[0].array[0], np.float64)
    assert p.shape == plan.grid.shape != SHAPE
    canonical = zoom(p, [n / m for n, m in zip((14, 18, 11), p.shape, strict=True)], order=1, mode="nearest")
    stored = nib.load(write(segmentation)[0])
    np.testing.assert_allclose(nib.as_closest_canonical(stored).get_fdata(), canonical, atol=2e-6)


def test_outside_the_model_grid_the_background_is_certain(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, CROP, scores="0,1", uncertainty=True, scores_activation="softmax", scores_dtype="float32")
    background, first, uncertainty = (nib.load(path).get_fdata() for path in write(segmented(plan)))
    outside = np.ones((14, 18, 11), bool)
    outside[2:11, 4:14, 1:9] = False
    for values, expected in ((background, 1), (first, 0), (uncertainty, 0)):
        canonical = nib.as_closest_canonical(nib.Nifti1Image(values, AFFINE)).get_fdata()
        np.testing.assert_array_equal(canonical[outside], expected)
        assert np.all(canonical[~outside] != expected)


@pytest.mark.parametrize("pre", [(), (SCALE,), (SCALE, CROP)], ids=["as is", "scaled", "both"])
@pytest.mark.parametrize("host_sums", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_the_gpu_writes_the_same_files(
    tmp_path: Path, gpu: Backend, pre: tuple[dict[str, Any], ...], host_sums: bool, half: bool
) -> None:
    files = []
    for backend in (CpuBackend(), gpu):
        plan = plan_of(tmp_path, *pre, scores="all", uncertainty=True, scores_activation="softmax")
        knobs = replace(plan.memory.knobs, half=half, host_sums=host_sums and backend is gpu)
        segmentation = segmented(replace(plan, memory=replace(plan.memory, knobs=knobs)), backend)
        files.append([path.read_bytes() for path in write(segmentation)])
    assert files[0] == files[1]


def test_float16_is_as_close_as_its_eleven_bits(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, scores="1", scores_activation="softmax", scores_dtype="float32")
    half = replace(plan, memory=replace(plan.memory, knobs=replace(plan.memory.knobs, half=True)))
    report = Report()
    exact = nib.load(write(segmented(plan))[0]).get_fdata()
    values = nib.load(write(segmented(half), report)[0]).get_fdata()
    np.testing.assert_allclose(values, exact, atol=2.0**-12)
    assert not np.array_equal(values, exact)
    assert report.data["scores"]["precision"] == "float16"


def test_scores_that_are_probabilities_need_no_option(tmp_path: Path, model: Callable[[Any], None]) -> None:
    model(lambda tiles: np.concatenate([1 - tiles, tiles], axis=1))
    plan = plan_of(tmp_path, classes=2, scores="1", scores_dtype="float32")
    np.testing.assert_allclose(nib.load(write(segmented(plan))[0]).get_fdata(), voxels_of(), atol=1e-6)


def test_scores_that_are_none_are_refused(tmp_path: Path, model: Callable[[Any], None]) -> None:
    with pytest.raises(
        ConfigError, match=r"--scores: found scores below 0 or above 1 at \d+ of 2772 voxels"
    ) as failure:
        write(segmented(plan_of(tmp_path, scores="1")))
    assert "--scores-activation softmax" in str(failure.value)
    model(lambda tiles: np.concatenate([tiles, tiles], axis=1))
    with pytest.raises(ConfigError, match=r"the classes differs from 1 by more than 0.001 at \d+ of 2772"):
        write(segmented(plan_of(tmp_path, classes=2, uncertainty=True)))
    assert not list((tmp_path / "out").iterdir())
    assert len(write(segmented(plan_of(tmp_path, classes=2, scores="1", scores_activation="none")))) == 1


def test_nan_is_uncertain_background(tmp_path: Path, model: Callable[[Any], None]) -> None:
    model(lambda tiles: np.concatenate([1 - tiles, tiles], axis=1))
    voxels = voxels_of()
    voxels[3, 4, 5] = np.nan
    plan = plan_of(tmp_path, classes=2, scores="all", uncertainty=True)
    paths = write(segmented(plan, voxels=voxels))
    assert [nib.load(path).get_fdata()[3, 4, 5] for path in paths] == pytest.approx([1, 0, 1])


def test_an_older_map_is_replaced_and_another_file_is_not(tmp_path: Path) -> None:
    for form in ("nii.gz", "nrrd"):
        plan = plan_of(tmp_path, scores="1", scores_activation="softmax", scores_format=form)
        check_score_places(plan)
        (path,) = write(segmented(plan))
        inputs = plan.inputs
        assert all(place.is_ours(path) for place in score_places(inputs.settings, inputs.config, inputs.header))
        assert write(segmented(plan)) == [path]
        edited = sitk.ReadImage(path)
        sitk.WriteImage(edited, path, useCompression=True)
        content = path.read_bytes()
        with pytest.raises(ConfigError, match="found a file of another program, expected none or a score map"):
            write(segmented(plan))
        assert path.read_bytes() == content
    volume = tmp_path / "out" / "volume.1.score.nii.gz"
    volume.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ConfigError, match=r"volume\.1\.score\.nii\.gz: found a file of another program"):
        check_score_places(plan_of(tmp_path, scores="all", scores_activation="softmax"))


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gpu_infer.results.scores.write_score_map", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        write(segmented(plan_of(tmp_path, scores="1", scores_activation="softmax")))
    assert not list((tmp_path / "out").iterdir())


def test_an_axis_that_nifti_cannot_count(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, scores="1")
    header = replace(plan.inputs.header, geometry=Geometry((40000, 2, 2), np.eye(4)))
    with pytest.raises(ConfigError, match="found an axis of 40000 voxels, NIfTI has at most 32767"):
        score_places(plan.inputs.settings, plan.inputs.config, header)


@pytest.mark.parametrize("pre", [(), (SCALE,), (SCALE, CROP)], ids=["as is", "scaled", "both"])
@pytest.mark.parametrize("half", [False, True])
def test_no_more_memory_than_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pre: tuple[dict[str, Any], ...], half: bool
) -> None:
    shape = (96, 90, 81)
    monkeypatch.setitem(globals(), "SHAPE", shape)
    monkeypatch.setattr(restore_slabs, "SLAB_BYTES", 16 * shape[0] * shape[1] * 4)
    plan = plan_of(tmp_path, *pre, scores="all", uncertainty=True, scores_activation="softmax")
    plan = replace(plan, memory=replace(plan.memory, knobs=replace(plan.memory.knobs, half=half)))
    voxels = voxels_of()
    write(segmented(plan, voxels=voxels))  # compiles and imports
    _, peak = traced(lambda: write(segmented(plan, voxels=voxels)))
    sizes = plan.memory.sizes
    planned = plan.memory.host_peak - sizes.program - sizes.stored
    overhead = 1 << 20  # zlib, windows and other objects
    assert 0.3 * planned < peak < planned + overhead


@pytest.mark.parametrize("pre", [(), (SCALE,), (SCALE, CROP)], ids=["as is", "scaled", "both"])
@pytest.mark.parametrize("half", [False, True])
def test_no_more_gpu_memory_than_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: Backend, pre: tuple[dict[str, Any], ...], half: bool
) -> None:
    shape = (48, 45, 41)
    monkeypatch.setitem(globals(), "SHAPE", shape)
    monkeypatch.setattr(restore_slabs, "SLAB_BYTES", 4 * shape[0] * shape[1] * 4)
    plan = plan_of(tmp_path, *pre, scores="all", uncertainty=True, scores_activation="softmax")
    knobs = replace(plan.memory.knobs, half=half)
    memory = replace(plan.memory, knobs=knobs, placement=Placement(gpu=True))
    gpu.start_run()
    before = gpu.counters()["peak_device_bytes"]
    write(segmented(replace(plan, memory=memory), gpu))
    peak = gpu.counters()["peak_device_bytes"] - before
    planned = memory.device_peak - TABLES
    small = 256 << 10  # tables, counts and the rounding of each allocation
    assert 0.3 * planned < peak < planned + small
