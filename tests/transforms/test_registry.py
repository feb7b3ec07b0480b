"""The transforms that a configuration can name."""

from __future__ import annotations

import pytest

from gpu_infer.transforms.registry import TRANSFORMS, belongs_to_training


@pytest.mark.parametrize("name", TRANSFORMS)
def test_is_documented(name: str) -> None:
    cls = TRANSFORMS[name]
    assert cls.__doc__
    assert cls.name == name


def test_none_belongs_to_training() -> None:
    assert not any(belongs_to_training(n) for n in TRANSFORMS)


@pytest.mark.parametrize(
    "name",
    [
        "RandomAxisFlip",
        "RandomSpatialFlip",
        "RandomRotate3D",
        "RandomZoom",
        "RandomGaussianNoise",
        "AddGaussianNoise",
        "CropByPosNegRatio",
        "FastCropByPosNegRatio",
        "CropByPosNegRatioLabelOnly",
        "CropRandomSizeWithDisplacement",
        "FastPosNegRatioCropROI",
        "RandCropByPosNegLabeld",
    ],
)
def test_training_components(name: str) -> None:
    assert belongs_to_training(name)
