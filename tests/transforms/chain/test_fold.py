"""How a chain is folded into stages."""

from __future__ import annotations

from typing import Any

import pytest
from transforms_oracle import load, transform

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.chain.fold import fold
from gpu_infer.transforms.chain.fused_pass import FusedPass
from gpu_infer.transforms.chain.restore_argmax import RestoredArgmax
from gpu_infer.transforms.chain.single import BarrierStage, MetadataStage, RestoreStage
from gpu_infer.transforms.field import FieldState

ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
NEAREST = transform("RestoreOriginalShape", field="model", src_field="image")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RANGE = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)
KEEP = transform("KeepLargestCC", fields="model")
ONE = RestoredArgmax("model", LINEAR, ARGMAX)


class Whole(Barrier):
    """Needs the whole array and returns it."""

    name = "Whole"

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        return array


def test_a_barrier_ends_a_pass_and_metadata_does_not() -> None:
    half = transform("ScaleIntensityRange", fields="image", a_min=0, a_max=2, b_min=0, b_max=1)
    first, barrier = load(), Whole(fields="image")
    layout = transform("ConvertToChannelsFirst", fields="image")
    scale = transform("ScaleByResolution", fields="image", target_resolution=(2, 2, 2))
    stages = fold([first, half, layout, scale, barrier, half, scale, half, scale])
    assert stages == (
        FusedPass("image", (first, half, layout, scale)),
        BarrierStage(barrier, "image"),
        FusedPass("image", (half, scale, half)),
        FusedPass("image", (scale,)),
    )


def test_fixed_crops_fold_and_measures_begin_a_pass() -> None:
    scale = transform("ScaleToShape", fields="image", target_shape=[8, 8, 8])
    crop = transform("CropFixedSizeCenter", fields="image", size=4)
    centre = transform("CenterData", fields="image")
    plain = transform("CenterData", fields="image", subtrahend=1, divisor=2)
    first = load()
    assert fold([first, crop, scale, crop, plain, centre, plain, scale]) == (
        FusedPass("image", (first, crop, scale, crop, plain)),
        FusedPass("image", (centre, plain, scale)),
    )


def test_a_linear_restore_and_the_argmax_after_it_are_one_stage() -> None:
    assert fold([LINEAR, ARGMAX, KEEP]) == (ONE, BarrierStage(KEEP, "model"))
    assert fold([LINEAR, COPY, ARGMAX]) == (ONE, MetadataStage(COPY, None))
    other = transform("KeepLargestCC", fields="organs")
    assert fold([LINEAR, other, ARGMAX]) == (ONE, BarrierStage(other, "organs"))
    assert fold([LINEAR, ARGMAX, LINEAR, ARGMAX]) == (ONE, ONE)


@pytest.mark.parametrize(
    "between",
    [
        transform("ThresholdAcrossChannels", fields="model", threshold=0.5),
        RANGE,
        transform("CropFixedSizeCenter", fields="model", size=3),
        transform("SplitAcrossChannels", field="model", channel_names=["a", "b"]),
        transform("RestoreOriginalShape", field="other", src_field="model"),
    ],
)
def test_work_on_the_field_in_between_keeps_them_apart(between: Any) -> None:
    stages = fold([LINEAR, between, ARGMAX])
    assert RestoreStage(LINEAR, "model") in stages
    assert BarrierStage(ARGMAX, "model") in stages


def test_other_restores_and_other_fields_stay_alone() -> None:
    other = transform("ArgmaxAcrossChannels", fields="other")
    assert fold([NEAREST, ARGMAX]) == (RestoreStage(NEAREST, "model"), BarrierStage(ARGMAX, "model"))
    assert fold([ARGMAX, NEAREST]) == (BarrierStage(ARGMAX, "model"), RestoreStage(NEAREST, "model"))
    assert fold([LINEAR, other]) == (RestoreStage(LINEAR, "model"), BarrierStage(other, "other"))
    both = transform("ArgmaxAcrossChannels", fields=["model", "other"])
    assert fold([LINEAR, both]) == (RestoredArgmax("model", LINEAR, both), BarrierStage(both, "other"))
