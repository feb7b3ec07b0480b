"""The chains that a pipeline does not accept, before any volume is known."""

from __future__ import annotations

from typing import Any

import pytest
from transforms_oracle import transform

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.checks import check
from gpu_infer.transforms.chain.pipeline import Pipeline

LOAD = transform("LoadNifti", fields="image")
FIRST = transform("ConvertToChannelsFirst", fields="image")
SCALE = transform("ScaleByResolution", fields="image", target_resolution=(0.8, 0.8, 5.0))
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
RANGE_ON_MODEL = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)

REFUSED: list[tuple[list[Any], list[Any], str]] = [
    ([FIRST], [ARGMAX], "pre_transforms: nothing loads the volume (begin with LoadNifti)"),
    ([LOAD], [LOAD, ARGMAX], "LoadNifti: loads a volume after the inference (move it to pre_transforms)"),
    (
        [transform("LoadNifti", fields=["image", "label"])],
        [ARGMAX],
        "LoadNifti: one volume is read per run, found the fields image, label (load one field; files with several "
        "channels become channels of that field)",
    ),
    (
        [LOAD, transform("ScaleByResolution", fields="imag", target_resolution=(1, 1, 1))],
        [ARGMAX],
        "ScaleByResolution: args.fields: unknown field 'imag'; did you mean 'image'? known: image (name one of these, "
        "or put the transform that makes the field before it)",
    ),
    (
        [LOAD],
        [ARGMAX, transform("RestoreOriginalShape", field="model", src_field="label")],
        "RestoreOriginalShape: args.src_field: unknown field 'label'; known: image, model (name one of these, or put "
        "the transform that makes the field before it)",
    ),
    (
        [LOAD],
        [ARGMAX, transform("FetchExtremePoints", image_field="image", label_field="label")],
        "FetchExtremePoints: args.label_field: unknown field 'label'; known: image, model (name one of these, or put "
        "the transform that makes the field before it)",
    ),
    (
        [LOAD],
        [COPY, RESTORE],
        "post_transforms: no transform turns the scores in 'model' into labels (add ArgmaxAcrossChannels, or "
        "ThresholdValues for a model with one output channel)",
    ),
    (
        [LOAD],
        [ARGMAX, LINEAR],
        "RestoreOriginalShape: linear interpolation would mix the label ids of 'model' (set \"is_label\": true)",
    ),
    (
        [LOAD],
        [ARGMAX, transform("ScaleBySpacing", fields="model", target_spacing=(1, 1, 1))],
        "ScaleBySpacing: linear interpolation would mix the label ids of 'model' (set \"is_label\": true)",
    ),
    (
        [LOAD],
        [ARGMAX, RANGE_ON_MODEL],
        "ScaleIntensityRange: would change the label ids of 'model' (move it before the transform that makes labels)",
    ),
    ([LOAD], [ARGMAX, ARGMAX], "ArgmaxAcrossChannels: 'model' holds labels already (leave it out)"),
    (
        [LOAD],
        [transform("CopyProperties", fields="image", from_field="model", properties="affine"), ARGMAX],
        'CopyProperties: field "model" has no property "affine" (copy it from the field that LoadNifti loads)',
    ),
]


@pytest.mark.parametrize(("pre", "post", "message"), REFUSED, ids=[m[:50] for _, _, m in REFUSED])
def test_refuses_chains_that_cannot_work(pre: Any, post: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline(pre, post)
    assert str(caught.value) == message


def test_names_of_the_fields() -> None:
    pipeline = Pipeline([transform("LoadNifti", fields="ct")], [transform("ArgmaxAcrossChannels", fields="organs")])
    assert (pipeline.input_field, pipeline.result_field) == ("ct", "organs")
    assert Pipeline([LOAD], [ARGMAX], result_field="model").result_field == "model"


def test_the_kinds_that_fields_hold_in_the_end() -> None:
    split = transform("SplitBasedOnLabel", field="model", label_names=["rest", "liver"])
    names = check([LOAD], [ARGMAX, split])
    assert (names.input, names.result) == ("image", "model")
    assert names.kinds == {"image": "image", "model": "labels", "rest": "labels", "liver": "labels"}
