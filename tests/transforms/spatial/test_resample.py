"""Cubic resampling, interpolation per axis, and MONAI's placement, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from skimage.transform import resize
from transforms_finish import finish
from transforms_oracle import ARGMAX, BACKEND, ORIENTATIONS, affine_of, load, prepared, transform, volume_of, zoom

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline

RNG = np.random.default_rng(7)
CT = RNG.integers(-1000, 1000, (31, 26, 17)).astype(np.int16)
SPACING = (0.7, 0.9, 2.5)
AFFINE = np.diag([*SPACING, 1.0])
TOLERANCE = 1e-5 * 2000


def scale(**args: Any) -> Any:
    return transform("ScaleBySpacing", fields="image", **args)


def at_steps(array: np.ndarray, shape: Any, steps: Any, order: int, first: Any = (0, 0, 0)) -> np.ndarray:
    """array [X, Y, Z] read at first + index · steps, by SciPy."""
    axes = (f + np.arange(m) * s for m, s, f in zip(shape, steps, first, strict=True))
    grid = np.meshgrid(*axes, indexing="ij")
    return ndimage.map_coordinates(array.astype(np.float64), grid, order=order, mode="nearest")


@pytest.mark.parametrize("orientation", range(0, 48, 7))
def test_cubic_of_any_orientation(orientation: int) -> None:
    affine = affine_of(*ORIENTATIONS[orientation])
    args = {"fields": "image", "target_shape": [20, 33, 25], "interpolation": "cubic"}
    loaded = prepared(load(), affine=affine, data=CT)
    assert_allclose(
        prepared(load(), transform("ScaleToShape", **args), affine=affine, data=CT),
        zoom(loaded, (20, 33, 25), 3),
        rtol=0,
        atol=TOLERANCE,
    )


def test_each_axis_has_its_own_interpolation() -> None:
    args = {"target_shape": [40, 20, 40], "interpolation": ["cubic", "linear", "nearest"]}
    result = prepared(load(), transform("ScaleToShape", fields="image", **args), data=CT)
    expected = zoom(zoom(zoom(CT[None], (31, 26, 40), 0), (31, 20, 40), 1), (40, 20, 40), 3)
    assert_allclose(result, expected, rtol=0, atol=TOLERANCE)


def test_functions_and_crops_join_the_pass() -> None:
    chain = [
        load(),
        transform("ScaleIntensityRange", fields="image", a_min=-900, a_max=800, b_min=0, b_max=1, clip=True),
        transform("ScaleToShape", fields="image", target_shape=[24, 40, 30], interpolation="cubic"),
        transform("CropFixedSizeCenter", fields="image", size=[10, 12, 14]),
        transform("ScaleIntensityRange", fields="image", a_min=0, a_max=1, b_min=0, b_max=2, clip=True),
    ]
    pipeline = Pipeline(chain, ARGMAX)
    assert len(pipeline.pre_stages) == 1
    window = np.clip((CT[None] + 900.0) / 1700.0, 0, 1)
    expected = np.clip(zoom(window, (24, 40, 30), 3)[:, 7:17, 14:26, 8:22], 0, 1) * 2
    assert_allclose(prepared(*chain, data=CT), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (0.5, 1.6, 4.1), (0.7, 0.9, 2.5), (0.71, 0.9, 2.49)])
def test_monai_placement_keeps_the_first_sample_and_the_spacing(target: Any, interpolation: str) -> None:
    step = scale(target_spacing=list(target), placement="monai", interpolation=interpolation)
    pipeline = Pipeline([load(), step], ARGMAX)
    state = pipeline.prepare(volume_of(CT, AFFINE), BACKEND)["image"]
    shape = tuple(round((n - 1) * s / t + 1.0) for n, s, t in zip(CT.shape, SPACING, target, strict=True))
    assert state.shape == shape
    assert_allclose(state.spacing, target, rtol=1e-12)
    order = {"linear": 1, "nearest": 0, "cubic": 3}[interpolation]
    expected = at_steps(CT, shape, [t / s for s, t in zip(SPACING, target, strict=True)], order)
    if order:
        assert_allclose(state.array[0], expected, rtol=0, atol=TOLERANCE)
    else:  # halves: the coordinates of map_coordinates round in another order
        assert np.mean(state.array[0] != expected) < 1e-3


@pytest.mark.parametrize("placement", ["monai", None])
def test_an_axis_without_a_target_stays(placement: str | None) -> None:
    def values(*target: float | None) -> Any:
        return prepared(load(), scale(target_spacing=list(target), placement=placement), data=CT, affine=AFFINE)

    x, _, z = SPACING
    assert_array_equal(values(None, 0.8, None), values(x, 0.8, z))
    assert_array_equal(values(None, None, None), CT[None])


def test_monai_placement_keeps_a_spacing_that_is_near_the_target() -> None:
    def shape_and_spacing(*target: float) -> Any:
        pipeline = Pipeline([load(), scale(target_spacing=list(target), placement="monai")], ARGMAX)
        state = pipeline.prepare(volume_of(CT, AFFINE), BACKEND)["image"]
        return state.shape, state.spacing

    x, y, z = SPACING
    unchanged = CT.shape, pytest.approx(SPACING, rel=1e-12)
    assert shape_and_spacing(x + 0.0009, y - 0.0009, z + 0.0009) == unchanged  # within 0.001 mm
    assert shape_and_spacing(x, y, z * 1.0009) == unchanged  # within a thousandth of each axis, and no size changes
    _, spacing = shape_and_spacing(2 * x, y + 0.0009, z * 1.0009)
    assert spacing == pytest.approx((2 * x, y, z * 1.0009), rel=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_monai_placement_of_an_oblique_file_follows_the_rounding_of_its_matrix(noise: float) -> None:
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.7, 0.9, 2.5]) + noise * np.eye(3)[::-1]
    target = np.array([1.1, 0.65, 3.2])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    steps = target / spacing
    shape = tuple(round((n - 1) / step + 1) for n, step in zip(CT.shape, steps, strict=True))
    chain = [load(), scale(target_spacing=target.tolist(), placement="monai")]
    pipeline = Pipeline(chain, [transform("RestoreOriginalShape", field="model", src_field="image"), *ARGMAX])
    fields = pipeline.prepare(volume_of(CT, affine), BACKEND)
    # MONAI puts the centres together, which it takes at n / 2, as soon as the axes are not at right angles to 1e-8
    first = [(n - step * m) / 2 if noise else 0 for n, step, m in zip(CT.shape, steps, shape, strict=True)]
    assert fields["image"].shape == shape
    assert_allclose(fields["image"].array[0], at_steps(CT, shape, steps, 1, first), rtol=0, atol=TOLERANCE)
    labels = RNG.integers(0, 5, shape).astype(np.uint8)
    result = finish(pipeline, labels, fields, BACKEND)
    back = at_steps(labels, CT.shape, 1 / steps, 0, [-f / step for f, step in zip(first, steps, strict=True)])
    assert np.mean(result != back) < 1e-3


@pytest.mark.parametrize("is_label", [True, False])
@pytest.mark.parametrize("target", [(1.01, 1.13, 1.07), (0.53, 1.7, 4.3)])
def test_monai_placement_is_undone_at_the_same_positions(target: Any, is_label: bool) -> None:
    chain = [load(), scale(target_spacing=list(target), placement="monai")]
    back = transform("RestoreOriginalShape", field="model", src_field="image", is_label=is_label)
    pipeline = Pipeline(chain, [*ARGMAX, back] if is_label else [back, *ARGMAX])
    fields = pipeline.prepare(volume_of(CT, AFFINE), BACKEND)
    shape = fields["image"].shape
    steps = [s / t for s, t in zip(SPACING, target, strict=True)]
    if is_label:
        labels = RNG.integers(0, 5, shape).astype(np.uint8)
        result = finish(pipeline, labels, fields, BACKEND)
        nearest = [
            np.clip(np.floor(np.arange(n) * s + 0.5), 0, m - 1).astype(int)
            for n, s, m in zip(CT.shape, steps, shape, strict=True)
        ]
        assert_array_equal(result, labels[np.ix_(*nearest)])
    else:
        scores = RNG.random((3, *shape)).astype(np.float32)
        result = finish(pipeline, scores, fields, BACKEND)
        restored = np.stack([at_steps(channel, CT.shape, steps, 1) for channel in scores])
        best = np.sort(restored, axis=0)
        clear = best[-1] - best[-2] > 1e-5
        assert_array_equal(result[clear], restored.argmax(0)[clear])


def test_a_second_scaling_to_the_same_spacing_changes_nothing() -> None:
    step = scale(target_spacing=[1.0, 1.3, 2.0], placement="monai", interpolation="cubic")
    once, twice = prepared(load(), step, affine=AFFINE, data=CT), prepared(load(), step, step, affine=AFFINE, data=CT)
    assert_array_equal(once, twice)


def test_two_ways_to_place_samples_are_refused() -> None:
    with pytest.raises(ValueError, match='"placement" and "align_corners" both place the samples: keep one'):
        scale(target_spacing=[1, 1, 1], placement="monai", align_corners=False)
    with pytest.raises(ValueError, match='expected "monai"'):
        scale(target_spacing=[1, 1, 1], placement="corner")


@pytest.mark.parametrize("interpolation", ["cubic", ["nearest", "nearest", "linear"]])
def test_label_ids_are_not_mixed(interpolation: Any) -> None:
    step = transform("ScaleByFactor", fields="model", factor=0.5, interpolation=interpolation)
    with pytest.raises(ConfigError, match="would mix the label ids of 'model'"):
        Pipeline([load()], [*ARGMAX, step])


@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_clip_limits_to_the_range_of_the_input(slope: float) -> None:
    steps = CT.copy()
    steps[:15], steps[15:] = -500, 700  # the spline overshoots at the step
    chain = [
        load(),
        transform("ScaleIntensityRange", fields="image", a_min=0, a_max=1000, b_min=0, b_max=slope),
        transform("CropFixedSizeCenter", fields="image", size=[12, 20, 17]),
    ]
    args = {"fields": "image", "target_shape": [40, 20, 17], "interpolation": "cubic"}
    free = prepared(*chain, transform("ScaleToShape", **args), data=steps)
    clipped = prepared(*chain, transform("ScaleToShape", **args, clip=True), data=steps)
    low, high = sorted((-0.5 * slope, 0.7 * slope))
    assert free.min() < low - 0.01
    assert free.max() > high + 0.01
    assert_allclose(clipped, np.clip(free, low, high), rtol=0, atol=1e-6)


def test_clip_without_cubic_is_refused() -> None:
    with pytest.raises(ValueError, match='"clip" limits values of cubic interpolation'):
        transform("ScaleToShape", fields="image", target_shape=[4, 4, 4], clip=True)
    with pytest.raises(ValueError, match='"clip" limits values of cubic interpolation'):
        transform("ScaleToShape", fields="image", target_shape=[4, 4, 4], interpolation=["linear"] * 3, clip=True)


def test_clipped_values_are_scikit_images() -> None:
    args = {"target_shape": [20, 40, 25], "interpolation": "cubic", "align_corners": False, "clip": True}
    result = prepared(load(), transform("ScaleToShape", fields="image", **args), data=CT)
    expected = resize(CT.astype(np.float64), (20, 40, 25), order=3, mode="edge", clip=True, anti_aliasing=False)
    assert_allclose(result[0], expected, rtol=0, atol=TOLERANCE)
