"""MONAI bundles in less usual shapes: nearest voxels, crops of masks, file axes, windows beyond the volume."""

from __future__ import annotations

from dataclasses import replace

from bundle_cases import (
    ARGMAX,
    CT,
    LARGEST,
    LINEAR,
    LOAD,
    MASKS,
    NEAREST,
    RANGE,
    RAS,
    SAVE,
    SOFTMAX,
    SPACING,
    WINDOWS,
    Item,
)

CROP: Item = {"_target_": "CropForegroundd", "keys": "@key", "source_key": "@key"}
HOLES: Item = {"_target_": "FillHolesd", "keys": "pred"}
MASKED = {"masked": True}


def threshold(value: float) -> Item:
    return {"_target_": "AsDiscreted", "keys": "pred", "threshold": value}


MORE = [
    replace(CT, name="two_spacings", pre=[*LOAD, RAS, SPACING, SPACING | {"pixdim": [2.9, 2.2, 1.4]}, RANGE]),
    replace(CT, name="nearest_spacing", pre=[*LOAD, RAS, SPACING | {"mode": "nearest"}, RANGE]),
    replace(MASKS, name="cropped_masks", pre=[*LOAD, RAS, SPACING, RANGE, CROP], keys=MASKED),
    replace(
        MASKS,
        name="cropped_logits",
        pre=[*LOAD, RAS, CROP, RANGE],
        post=[LINEAR, threshold(-0.2), SAVE],
        keys=MASKED,
        classes=1,
    ),
    replace(
        CT,
        name="mean_and_deviation",
        pre=[*LOAD, {"_target_": "NormalizeIntensityd", "keys": "@key", "subtrahend": 30.0}],
    ),
    replace(CT, name="file_spacing", pre=[*LOAD, SPACING, RANGE, CROP], keys=MASKED, axes=(2, 0, 1), flips=(1, -1, -1)),
    replace(
        CT,
        name="small",
        shape=(15, 17, 9),
        inferer=WINDOWS | {"mode": "gaussian", "sigma_scale": 0.2, "overlap": [0.5, 0.3, 0.6], "cval": -1.0},
    ),
    replace(
        CT,
        name="flat",
        shape=(15, 37, 9),
        inferer=WINDOWS | {"mode": "gaussian", "sigma_scale": [0.1, 0.2, 0.3], "padding_mode": "replicate"},
        axes=(2, 0, 1),
        flips=(1, -1, -1),
    ),
    replace(
        CT,
        name="holes",
        post=[ARGMAX, HOLES | {"connectivity": 1}, LARGEST | {"independent": False}, NEAREST, SAVE],
        axes=(2, 0, 1),
    ),
    replace(
        MASKS, name="oblique_masks", post=[SOFTMAX, threshold(0.5), NEAREST, SAVE], is_oblique=True, axes=(1, 2, 0)
    ),
]
