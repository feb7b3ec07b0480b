"""What is written in the end: one field or several, of models with one channel or many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from transforms_finish import finish, finish_fields, in_loaded_axes
from transforms_oracle import (
    AFFINE,
    ARGMAX,
    BACKEND,
    RNG,
    STORED,
    accumulated,
    affine_of,
    load,
    transform,
    volume_of,
    zoom,
)

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline

VOLUME = volume_of(STORED, AFFINE)
MASKS = transform("ThresholdAcrossChannels", fields="model", threshold=0.5)
ABOVE = transform("ThresholdValues", fields="model", threshold=0.5)
SPLIT = transform("SplitAcrossChannels", field="model", channel_names=["TC", "WT"])
LABELS = transform("SplitBasedOnLabel", field="model", label_names=["rest", "liver"])
KEEP = transform("KeepLargestCC", fields="model")


def test_one_sigmoid_channel_end_to_end() -> None:
    """Resampled and cropped in, one score per voxel out, thresholded, cleaned and brought back."""
    pre = [
        load(),
        transform("ScaleToShape", fields="image", target_shape=[12, 10, 8]),
        transform("CropFixedSizeCenter", fields="image", size=[8, 8, 8]),
    ]
    restore = transform("RestoreOriginalShape", field="model", src_field="image")
    pipeline = Pipeline(pre, [ABOVE, KEEP, restore])
    assert pipeline.finalizer == "masks"
    trace = pipeline.trace(1, VOLUME.geometry, np.int16)
    assert trace.stages[3].shape_out == (1, 8, 8, 8)  # the result: one channel, since only that can be written
    assert trace.stages[-1].shape_out == (1, *STORED.shape)
    fields = pipeline.prepare(VOLUME, BACKEND)
    scores = np.zeros((1, 8, 8, 8), np.float32)
    scores[0, 1:6, 1:6, 2:7], scores[0, 7, 7, 7] = 0.9, 0.8
    whole = np.zeros((12, 10, 8), np.uint8)
    whole[2:10, 1:9] = scores[0] > 0.85
    assert_array_equal(
        finish(pipeline, accumulated(pipeline, scores), fields, BACKEND), zoom(whole[None], STORED.shape, order=0)[0]
    )
    with pytest.raises(ConfigError, match=r"post_transforms: leave 2 channels in 'model', expected 1 \(make one"):
        pipeline.check_classes(2)


def test_several_outputs_each_on_the_grid_of_the_file() -> None:
    volume = volume_of(STORED, affine_of((2, 0, 1), (True, False, True), (1.0, 2.0, 3.0)))
    back = [transform("RestoreOriginalShape", field=name, src_field="image") for name in ("TC", "WT")]
    scale = transform("ScaleToShape", fields="image", target_shape=[6, 6, 6])
    pipeline = Pipeline([load(), scale], [MASKS, SPLIT, *back], outputs=["WT", "TC"])
    scores = RNG.random((2, 6, 6, 6), dtype=np.float32)
    masks = accumulated(pipeline, scores)
    fields = pipeline.prepare(volume, BACKEND)
    got = finish_fields(pipeline, masks, fields, BACKEND)
    seen = {name: in_loaded_axes(labels, fields) for name, labels in got.items()}
    assert list(got) == ["WT", "TC"]
    for channel, name in enumerate(("TC", "WT")):
        want = zoom((scores[channel : channel + 1] > 0.5).astype(np.uint8), (5, 9, 7), order=0)[0]
        assert_array_equal(seen[name], want)
        assert got[name].shape == STORED.shape
        assert got[name].flags.f_contiguous
    trace = pipeline.trace(1, volume.geometry, np.int16)
    assert [s.line for s in trace.stages[-2:]] == ["WT: in the file's order", "TC: in the file's order"]
    assert pipeline.describe()[-2:] == [
        "6. WT: delivered in the file's axis order",
        "7. TC: delivered in the file's axis order",
    ]


def test_an_output_that_nothing_restores_is_restored(caplog: pytest.LogCaptureFixture) -> None:
    scale = transform("ScaleToShape", fields="image", target_shape=[6, 6, 6])
    pipeline = Pipeline([load(), scale], [*ARGMAX, LABELS], outputs=["liver"])
    assert "liver: back to the file's grid, nearest (no RestoreOriginalShape)" in pipeline.describe()[-2]
    labels = RNG.integers(0, 2, (6, 6, 6), dtype=np.uint8)
    got = finish_fields(pipeline, labels, pipeline.prepare(VOLUME, BACKEND), BACKEND)["liver"]
    assert_array_equal(got, zoom(labels[None], STORED.shape, order=0)[0])
    assert "brings 'liver' back" in caplog.text


REFUSED: list[tuple[list[Any], list[Any], list[str] | None, str]] = [
    (
        [],
        [KEEP, *ARGMAX],
        None,
        "KeepLargestCC: works on labels, 'model' holds scores (put ArgmaxAcrossChannels or ThresholdValues before it)",
    ),
    (
        [transform("SplitBasedOnBratsClasses", field="image")],
        ARGMAX,
        None,
        "SplitBasedOnBratsClasses: works on labels, 'image' holds an image",
    ),
    ([], [SPLIT], None, "post_transforms: no transform turns the scores in 'model' into labels (add "),
    ([], [SPLIT], ["WT"], "post_transforms: no transform turns the scores in 'WT' into labels (add "),
    ([], ARGMAX, ["modle"], "unknown field 'modle'; did you mean 'model'? known: image, model"),
    ([], ARGMAX, ["image"], "'image' holds an image, expected labels to write (name one of model)"),
    ([], [MASKS, SPLIT], None, "post_transforms: leave 2 channels in 'model', expected 1 (make one label map of them "),
    (
        [],
        [*ARGMAX, SPLIT],
        ["TC"],
        "SplitAcrossChannels: is made for 2 channels, 'model' has 1 (give one entry per channel)",
    ),
    (
        [],
        [*ARGMAX, transform("SplitBasedOnLabel", field="model", label_names=["image", "x"])],
        None,
        "SplitBasedOnLabel: the field 'image' exists already (choose another name)",
    ),
    (
        [],
        [*ARGMAX, transform("NormalizeNonzeroIntensities", fields="model")],
        None,
        "NormalizeNonzeroIntensities: would change the label ids of 'model' (move it before the transform that makes ",
    ),
    (
        [],
        [*ARGMAX, transform("CenterData", fields="model")],
        None,
        "CenterData: would change the label ids of 'model' (move it before the transform that makes ",
    ),
]


@pytest.mark.parametrize(("pre", "post", "outputs", "message"), REFUSED, ids=[m[:50] for *_, m in REFUSED])
def test_refuses(pre: Any, post: Any, outputs: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline([load(), *pre], post, outputs=outputs)
    assert str(caught.value).startswith(message)


def test_an_object_crop_of_an_image_and_its_mask_together() -> None:
    """The mask decides for both, whatever stands first."""
    data = np.zeros((2, 6, 6, 6), np.int16)
    data[0], data[1, 2:4, 1:5, 3] = 9, 1
    split = transform("SplitAcrossChannels", field="image", channel_names=["ct", "mask"])
    crop = transform("CropForegroundObject", fields=["ct", "mask", "image"], label_field="mask")
    fields = Pipeline([load(), split, crop], ARGMAX).prepare(volume_of(data), BACKEND)
    assert fields["image"].array.shape == (2, 2, 4, 1)
    assert fields["ct"].array is fields["mask"].array is None  # nothing reads them any more
    assert {n: (f.channels, *f.shape) for n, f in fields.items()} == {
        "image": (2, 2, 4, 1),
        "ct": (1, 2, 4, 1),
        "mask": (1, 2, 4, 1),
    }
    scale = transform("ScaleToShape", fields="ct", target_shape=[3, 3, 3])
    with pytest.raises(ConfigError, match=r"'ct' has the grid \(3, 3, 3\), 'mask' has \(6, 6, 6\)"):
        Pipeline([load(), split, scale, crop], ARGMAX).prepare(volume_of(data), BACKEND)


def test_extreme_points_of_a_resampled_field_are_where_its_voxels_are() -> None:
    scale = transform("ScaleToShape", fields="image", target_shape=[17, 13, 9])  # every second voxel is an old one
    fetch = transform("FetchExtremePoints", image_field="image", label_field="model")
    pad = transform("SymmetricPadderDiv", fields="image", div_int=4)
    pipeline = Pipeline([load(), scale, pad], [*ARGMAX, fetch])
    fields = pipeline.prepare(VOLUME, BACKEND)
    labels = np.zeros(fields["image"].shape, np.uint8)
    labels[1 + 4, 1 + 6, 1 + 3] = 1
    finish(pipeline, labels, fields, BACKEND)
    points = fields["image"].facts["points"]["points"]
    assert len(points) == 6
    assert all(p["index"] == [2, 3, 1.5] for p in points)
    assert points[0]["ras_mm"] == [3.0, 2.1, 6.0]


@pytest.mark.parametrize(
    ("split", "outputs"),
    [
        (LABELS, ["liver"]),
        (transform("SplitBasedOnBratsClasses", field="model"), ["WT"]),
    ],
    ids=["labels", "brats"],
)
@pytest.mark.parametrize("is_label", [True, False])
def test_a_split_behind_an_argmax_wants_one_channel_of_the_argmax_not_of_the_model(
    split: Any, outputs: list[str], is_label: bool
) -> None:
    scale = transform("ScaleToShape", fields="image", target_shape=[6, 6, 6])
    back = transform("RestoreOriginalShape", field="model", src_field="image", is_label=is_label)
    argmax = transform("ArgmaxAcrossChannels", fields="model")
    pipeline = Pipeline([load(), scale], [argmax, back, split] if is_label else [back, argmax, split], outputs=outputs)
    scores = RNG.random((5, 6, 6, 6), dtype=np.float32)
    result = scores.argmax(0).astype(np.uint8) if is_label else scores
    labels = result if is_label else scores
    fields = pipeline.prepare(VOLUME, BACKEND)
    got = in_loaded_axes(finish_fields(pipeline, labels, fields, BACKEND)[outputs[0]], fields)
    whole = zoom(result[None], STORED.shape, order=0)[0] if is_label else zoom(scores, STORED.shape).argmax(0)
    assert_array_equal(got, whole == 1 if outputs == ["liver"] else np.isin(whole, (1, 2, 4)))
