"""Every registered transform: its values against an oracle, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import transforms_checks_filters
import transforms_checks_intensity
import transforms_checks_labels
import transforms_checks_merge
import transforms_checks_morphology
import transforms_checks_spatial
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from skimage.transform import resize
from transforms_finish import finish
from transforms_oracle import (
    AFFINE,
    ARGMAX,
    BACKEND,
    RNG,
    STORED,
    blank_field,
    load,
    prepared,
    resolution_shape,
    scale_range,
    transform,
    volume_of,
    zoom,
)

from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS


def check_load() -> None:
    affine = np.array([[0, -0.7, 0, 5.0], [1.5, 0, 0, 1.0], [0, 0, -4.0, 2.0], [0, 0, 0, 1.0]])
    got = prepared(load(), affine=affine, slope=0.5, inter=-3.0)
    assert got.dtype == np.float32
    # stored axis 1 runs to the left, axis 0 to the front, axis 2 downwards
    assert_array_equal(got[0], (STORED * 0.5 - 3.0).transpose(1, 0, 2)[::-1, :, ::-1])
    assert_array_equal(prepared(load(as_closest_canonical="false"), affine=affine)[0], STORED)


def check_channels(name: str, last: bool) -> None:
    chain = [load(), transform(name, fields="image")]
    assert_array_equal(prepared(*chain)[0], STORED)
    trace = Pipeline(chain, ARGMAX).trace(1, volume_of(STORED, AFFINE).geometry, np.int16)
    assert trace.channels_last is last


def check_resample(name: str, key: str) -> None:
    target = (0.8, 1.1, 5.0)
    shape = resolution_shape(STORED.shape, (1.5, 0.7, 4.0), target)
    assert shape == (17, 4, 4)
    for options, order, grid_mode in (
        ({}, 1, False),
        ({"is_label": True}, 0, False),
        ({"interpolation": "nearest"}, 0, False),
        ({"is_label": True, "interpolation": "linear"}, 1, False),
        ({"align_corners": False}, 1, True),
        ({"interpolation": "cubic"}, 3, False),
        ({"interpolation": "cubic", "align_corners": False}, 3, True),
    ):
        got = prepared(load(), transform(name, fields="image", **{key: target}, **options))
        assert_allclose(got, zoom(STORED[None], shape, order, grid_mode), atol=1e-3, err_msg=str(options))
    smooth = {"anti_aliasing": True, "align_corners": False}
    got = prepared(load(), transform(name, fields="image", **{key: target}, **smooth))
    want = resize(STORED.astype(np.float64), shape, order=1, mode="edge", preserve_range=True, anti_aliasing=True)
    assert_allclose(got[0], want, atol=1e-3)


def check_scale_intensity() -> None:
    for args in (
        {"a_min": -1500, "a_max": 500, "b_min": 0.0, "b_max": 1.0, "clip": True},
        {"a_min": -1500, "a_max": 500, "b_min": 0.0, "b_max": 1.0, "clip": False},
        {"a_min": -100, "a_max": 240, "b_min": 1.0, "b_max": -1.0, "clip": True},
    ):
        got = prepared(load(), transform("ScaleIntensityRange", fields="image", **args))
        assert_allclose(got[0], scale_range(STORED.astype(float), **args), rtol=1e-5, atol=1e-5)  # type: ignore[arg-type]


def check_argmax() -> None:
    scores = RNG.integers(0, 3, (4, 9, 7, 5)).astype(np.float32)  # many ties
    identity = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=1)
    pipeline = Pipeline([load()], [identity, *ARGMAX])
    volume = volume_of(STORED, AFFINE)
    labels = finish(pipeline, scores, pipeline.prepare(volume, BACKEND), BACKEND)
    assert pipeline.finalizer == "scores"
    assert labels.dtype == np.uint8
    assert_array_equal(labels, np.argmax(scores, axis=0))


def check_copy_properties() -> None:
    fields = {"image": blank_field(), "model": blank_field(name="model", properties={"spacing": (9.0, 9.0, 9.0)})}
    transform(
        "CopyProperties", fields=["model"], from_field="image", properties=["original_shape", "affine", "filename"]
    ).update(fields)
    assert fields["model"].properties["original_shape"] == (4, 5, 6)
    assert fields["model"].properties["spacing"] == (9.0, 9.0, 9.0)
    assert fields["model"].properties["filename"] == "ct.nii"
    assert_array_equal(fields["model"].properties["affine"], np.eye(4))


def check_restore() -> None:
    chain = [load(), transform("ScaleByResolution", fields="image", target_resolution=(0.8, 1.1, 5.0))]
    small = RNG.integers(0, 5, (17, 4, 4), dtype=np.uint8)
    back = transform("RestoreOriginalShape", field="model", src_field="image")
    pipeline = Pipeline(chain, [*ARGMAX, back])
    labels = finish(pipeline, small, pipeline.prepare(volume_of(STORED, AFFINE), BACKEND), BACKEND)
    assert_array_equal(labels, zoom(small[None], STORED.shape, order=0)[0])
    # linear restore of scores, then argmax
    scores = RNG.random((3, 17, 4, 4), dtype=np.float32)
    back = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
    pipeline = Pipeline(chain, [back, *ARGMAX])
    labels = finish(pipeline, scores, pipeline.prepare(volume_of(STORED, AFFINE), BACKEND), BACKEND)
    assert_array_equal(labels, np.argmax(zoom(scores, STORED.shape), axis=0))


VALUES: dict[str, Callable[[], None]] = {
    "LoadNifti": check_load,
    "ConvertToChannelsFirst": lambda: check_channels("ConvertToChannelsFirst", last=False),
    "ConvertToChannelsLast": lambda: check_channels("ConvertToChannelsLast", last=True),
    "ScaleByResolution": lambda: check_resample("ScaleByResolution", "target_resolution"),
    "ScaleBySpacing": lambda: check_resample("ScaleBySpacing", "target_spacing"),
    "ScaleIntensityRange": check_scale_intensity,
    "ArgmaxAcrossChannels": check_argmax,
    "CopyProperties": check_copy_properties,
    "RestoreOriginalShape": check_restore,
    **transforms_checks_spatial.VALUES,
    **transforms_checks_intensity.VALUES,
    **transforms_checks_filters.VALUES,
    **transforms_checks_labels.VALUES,
    **transforms_checks_merge.VALUES,
    **transforms_checks_morphology.VALUES,
}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "LoadNifti": ({"fields": "image", "as_closest_canonical": "yes"}, "expected true or false"),
    "ConvertToChannelsFirst": ({"fields": []}, "expected a name or a list of names"),
    "ConvertToChannelsLast": ({"fields": ["image", "image"]}, "expected every name once"),
    "ScaleByResolution": (
        {"fields": "image", "target_resolution": [0.8, -1, 5.0]},
        "expected 3 positive numbers, or null for the spacing of the file",
    ),
    "ScaleBySpacing": (
        {"fields": "image", "target_spacing": [1, 1, 1], "interpolation": "quintic"},
        'expected "linear", "nearest" or "cubic", or 3 of them for X, Y, Z',
    ),
    "ScaleIntensityRange": (
        {"fields": "image", "a_min": 3, "a_max": 3.0, "b_min": 0, "b_max": 1},
        "expected a number other than a_min",
    ),
    "ArgmaxAcrossChannels": ({}, "Field required"),
    "CopyProperties": (
        {"fields": "model", "from_field": "image", "properties": ["afine"]},
        'unknown property "afine"; did you mean "affine"?',
    ),
    "RestoreOriginalShape": ({"field": "model", "src_field": ""}, "expected a non-empty string"),
    **transforms_checks_spatial.REFUSALS,
    **transforms_checks_intensity.REFUSALS,
    **transforms_checks_filters.REFUSALS,
    **transforms_checks_labels.REFUSALS,
    **transforms_checks_merge.REFUSALS,
    **transforms_checks_morphology.REFUSALS,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_values(name: str) -> None:
    VALUES[name]()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_refuses_bad_arguments(name: str) -> None:
    args, message = REFUSALS[name]
    with pytest.raises(ValidationError) as caught:
        TRANSFORMS[name](**args)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_refuses_unknown_arguments(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        TRANSFORMS[name](fieldz="image")
