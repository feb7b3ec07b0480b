"""Chains: fused plans against one pass per transform and against SciPy; orientation there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from transforms_finish import finish, in_loaded_axes
from transforms_oracle import (
    ORIENTATIONS,
    affine_of,
    resolution_shape,
    scale_range,
    transform,
    volume_of,
    zoom,
)

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.fold import fold
from gpu_infer.transforms.chain.fused_pass import FusedPass
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.field import Source
from gpu_infer.volume.checks import SUPPORTED_DTYPES

BACKEND = CpuBackend()
LOAD = transform("LoadNifti", fields="image")
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")
FLOAT = np.dtype(np.float32)

levels = st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 2))
intensity = st.tuples(levels, levels, levels, levels, st.booleans()).filter(lambda a: abs(a[0] - a[1]) > 0.5)
spacings = st.tuples(*[st.sampled_from((0.5, 0.8, 1.0, 1.7, 3.0))] * 3)
steps = st.one_of(
    intensity.map(lambda a: ("intensity", a)),
    st.tuples(spacings, st.booleans()).map(lambda a: ("resolution", a)),
    st.just(("layout", ())),
)


def build(step: Any) -> Any:
    kind, args = step
    if kind == "intensity":
        names = ("a_min", "a_max", "b_min", "b_max", "clip")
        return transform("ScaleIntensityRange", fields="image", **dict(zip(names, args, strict=True)))
    if kind == "resolution":
        return transform("ScaleByResolution", fields="image", target_resolution=args[0], is_label=args[1])
    return transform("ConvertToChannelsFirst", fields="image")


def expected(array: np.ndarray, spacing: Any, chain: Any) -> np.ndarray:
    for kind, args in chain:
        if kind == "intensity":
            array = scale_range(array, *args)
        elif kind == "resolution":
            shape = resolution_shape(array.shape[1:], spacing, args[0])
            spacing = tuple(s * n / m for s, n, m in zip(spacing, array.shape[1:], shape, strict=True))
            array = zoom(array, shape, order=0 if args[1] else 1)
    return array


@given(st.lists(steps, max_size=6), st.integers(0, 47), st.integers(0, 2**32 - 1))
def test_fused_equals_one_by_one_and_scipy(chain: Any, orientation: int, seed: int) -> None:
    data = np.random.default_rng(seed).random((2, 4, 6, 5), dtype=np.float32)
    stored_spacing = (1.0, 0.9, 2.5)
    volume = volume_of(data, affine_of(*ORIENTATIONS[orientation], stored_spacing))
    transforms = [LOAD, *map(build, chain)]
    pipeline = Pipeline(transforms, [ARGMAX])
    fused = pipeline.prepare(volume, BACKEND)["image"]

    source = Source(volume.geometry, volume.geometry.orientation)
    single = pipeline._loaded(2, FLOAT, source)
    single.array = single.source.orientation.view(data)
    fields = {"image": single}
    for t in transforms:
        FusedPass("image", (t,)).run(fields, FLOAT, BACKEND)
    loaded = single.source.orientation.view(data).astype(np.float64)
    oracle = expected(loaded, single.source.loaded.spacing, chain)

    assert fused.shape == single.shape == oracle.shape[1:]
    assert fused.history == single.history
    # relative to what the chain's slopes can blow up
    scale = max(1.0, float(np.abs(oracle).max()))
    gain = np.prod([abs((a[3] - a[2]) / (a[1] - a[0])) for k, a in chain if k == "intensity"], initial=1.0)
    assert_allclose(fused.array, single.array, atol=1e-5 * max(scale, gain), rtol=0)
    assert_allclose(fused.array, oracle, atol=1e-5 * max(scale, gain), rtol=0)


@given(st.lists(steps, max_size=8))
def test_fold_keeps_every_transform_once_and_one_regrid_per_pass(chain: Any) -> None:
    transforms = [LOAD, *map(build, chain)]
    stages = fold(transforms)
    assert all(isinstance(s, FusedPass) for s in stages)
    assert [t for s in stages for t in s.members] == transforms  # type: ignore[union-attr]
    regrids = sum(k == "resolution" for k, _ in chain)
    assert len(stages) == max(1, regrids)


@pytest.mark.parametrize("orientation", range(48))
@pytest.mark.parametrize("canonical", [True, False])
def test_labels_come_back_in_the_files_own_order(orientation: int, canonical: bool) -> None:
    """No resampling: labels of a thresholded input equal the threshold of the stored voxels, axis by axis."""
    data = np.random.default_rng(orientation).integers(-50, 50, (3, 4, 5), dtype=np.int16)
    volume = volume_of(data, affine_of(*ORIENTATIONS[orientation], (1.0, 2.0, 3.0), tilt=0.2))
    load = transform("LoadNifti", fields="image", as_closest_canonical=canonical)
    pipeline = Pipeline([load], [ARGMAX, RESTORE])
    fields = pipeline.prepare(volume, BACKEND)
    image = fields["image"].array
    assert fields["image"].properties["as_canonical"] is (canonical or orientation == 0)
    labels = finish(pipeline, (image[0] > 0).astype(np.uint8), fields, BACKEND)
    assert_array_equal(labels, data > 0)
    assert labels.flags.f_contiguous
    assert_array_equal(in_loaded_axes(labels, fields), image[0] > 0)


@pytest.mark.parametrize("orientation", range(0, 48, 5))
@pytest.mark.parametrize("order", ["argmax first", "restore first", "no restore"])
def test_restores_a_resampled_grid_in_any_order(orientation: int, order: str, caplog: pytest.LogCaptureFixture) -> None:
    data = np.random.default_rng(3).random((7, 6, 5), dtype=np.float32)
    volume = volume_of(data, affine_of(*ORIENTATIONS[orientation], (1.0, 2.0, 3.0)))
    chain = [LOAD, transform("ScaleByResolution", fields="image", target_resolution=(0.7, 1.3, 2.1))]
    post = {"argmax first": [ARGMAX, RESTORE], "restore first": [RESTORE, ARGMAX], "no restore": [ARGMAX]}[order]
    pipeline = Pipeline(chain, post)
    assert pipeline.finalizer == "argmax"
    fields = pipeline.prepare(volume, BACKEND)
    small = np.random.default_rng(4).integers(0, 7, fields["image"].shape).astype(np.uint8)
    with caplog.at_level("WARNING"):
        labels = finish(pipeline, small, fields, BACKEND)
    back = zoom(small[None], fields["image"].source.loaded.shape, order=0)[0].astype(np.uint8)
    assert_array_equal(fields["image"].source.orientation.view(labels), back)
    assert labels.shape == data.shape
    assert labels.flags.f_contiguous
    assert ("no RestoreOriginalShape" in caplog.text) is (order == "no restore")


def test_float16_input_is_rounded_once() -> None:
    data = np.random.default_rng(1).integers(-1000, 1000, (5, 4, 3), dtype=np.int16)
    scale = transform("ScaleIntensityRange", fields="image", a_min=-1500, a_max=500, b_min=0, b_max=1, clip=True)
    pipeline = Pipeline([LOAD, scale], [ARGMAX])
    half = pipeline.prepare(volume_of(data), BACKEND, np.float16)["image"].array
    assert half.dtype == np.float16
    single = pipeline.prepare(volume_of(data), BACKEND)["image"].array
    assert_array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("dtype", [*SUPPORTED_DTYPES, ">i2", ">f8", np.float16])
def test_every_dtype_that_readers_return_is_prepared(dtype: Any) -> None:
    data = np.random.default_rng(1).integers(0, 2, (3, 4, 5)).astype(dtype)
    got = Pipeline([LOAD], [ARGMAX]).prepare(volume_of(data), BACKEND)["image"].array
    assert_array_equal(got[0], data.astype(np.float32))


def test_the_prepared_pass_allocates_once() -> None:
    """Load, layout, resolution and intensity: one allocation, the model's input."""

    class Counting(CpuBackend):
        def __init__(self) -> None:
            self.arrays: list[Any] = []

        def empty(self, shape: Any, dtype: Any) -> Any:
            self.arrays.append((tuple(shape), np.dtype(dtype)))
            return super().empty(shape, dtype)

    backend = Counting()
    scale = transform("ScaleIntensityRange", fields="image", a_min=-1500, a_max=500, b_min=0, b_max=1, clip=True)
    chain = [
        LOAD,
        transform("ConvertToChannelsFirst", fields="image"),
        transform("ScaleByResolution", fields="image", target_resolution=(0.8, 0.8, 5.0)),
        scale,
    ]
    pipeline = Pipeline(chain, [ARGMAX, RESTORE])
    fields = pipeline.prepare(volume_of(np.zeros((8, 8, 4), np.int16)), backend)
    assert backend.arrays == [((1, 10, 10, 1), np.dtype(np.float32))]
    finish(pipeline, np.zeros((10, 10, 1), np.uint8), fields, backend)
    assert backend.arrays[1:] == [((1, 4, 8, 8), np.dtype(np.uint8))]


def test_the_prepared_pass_holds_nothing_of_full_size_but_its_output() -> None:
    """Measured, strided source and all: lines per thread and tables, no copy of the source, no second output."""
    import tracemalloc

    backend = CpuBackend()
    pre = [
        LOAD,
        transform("ScaleByResolution", fields="image", target_resolution=(0.9, 0.9, 1.5)),
        transform("ScaleIntensityRange", fields="image", a_min=-1500, a_max=500, b_min=0, b_max=1, clip=True),
    ]
    pipeline = Pipeline(pre, [ARGMAX])
    affine = affine_of((2, 0, 1), (True, False, True), (0.7, 0.8, 2.0))
    pipeline.prepare(volume_of(np.zeros((8, 8, 8), np.int16), affine), backend)  # compiles and loads
    volume = volume_of(np.random.default_rng(2).integers(-900, 400, (160, 170, 120), np.int16), affine)
    tracemalloc.start()
    array = pipeline.prepare(volume, backend)["image"].array
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert array.nbytes <= peak < array.nbytes + volume.data.nbytes // 4


def test_a_target_that_no_volume_has_is_refused() -> None:
    scale = transform("ScaleByResolution", fields="image", target_resolution=[0.8, 1e-9, 5])
    with pytest.raises(
        ConfigError,
        match=r"\(4, 5, 6\) voxels become \(.*\), 93 GiB of float32, expected at most 1048576 ",
    ):
        Pipeline([LOAD, scale], [ARGMAX]).prepare(volume_of(np.zeros((4, 5, 6), np.int16)), BACKEND)
