"""Which arrays stay for later stages."""

from __future__ import annotations

import numpy as np
from transforms_oracle import blank_field, load, transform

from gpu_infer.transforms.chain.fold import fold
from gpu_infer.transforms.chain.liveness import drop_others, live_after


def test_fields_that_later_stages_read_are_live() -> None:
    split = transform("SplitAcrossChannels", field="image", channel_names=["ct", "mask"])
    crop = transform("CropForegroundObject", fields=["ct", "image"], label_field="mask")
    scale = transform("ScaleByFactor", fields="ct", factor=2)
    stages = fold([load(), split, crop, scale])
    assert [stage.reads for stage in stages] == [{"image"}, {"image"}, {"ct", "image", "mask"}, {"ct"}]
    assert live_after(stages, ["image"]) == [
        {"ct", "image", "mask"},
        {"ct", "image", "mask"},
        {"ct", "image"},
        {"image"},
    ]
    assert live_after((), ["image"]) == []


def test_metadata_and_the_source_of_a_restore_read_no_voxel() -> None:
    copy = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
    restore = transform("RestoreOriginalShape", field="model", src_field="image")
    assert [stage.reads for stage in fold([copy, restore])] == [set(), {"model"}]


def test_the_arrays_of_other_fields_are_dropped() -> None:
    array = np.zeros((1, 4, 5, 6), np.float32)
    fields = {name: blank_field(name=name, array=array) for name in ("a", "b", "c")}
    drop_others(fields, {"b"})
    assert [name for name, field in fields.items() if field.array is not None] == ["b"]
    assert fields["a"].shape == (4, 5, 6)
