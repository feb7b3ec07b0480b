"""The transforms that a configuration can name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpu_infer.transforms.registry import TRANSFORMS, belongs_to_training


@pytest.mark.parametrize("name", TRANSFORMS)
def test_is_documented(name: str) -> None:
    cls = TRANSFORMS[name]
    assert cls.__doc__
    assert cls.name == name


def test_a_name_that_is_not_a_transform_is_missing() -> None:
    assert "Softmaxd" not in TRANSFORMS
    with pytest.raises(KeyError):
        TRANSFORMS["Softmaxd"]


def test_only_the_transforms_in_use_are_imported() -> None:
    code = (
        "from gpu_infer.transforms.registry import TRANSFORMS; TRANSFORMS['Softmax']; import sys; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    names = done.stdout.split()
    assert "gpu_infer.transforms.labels.softmax" in names
    assert "gpu_infer.transforms.labels.sigmoid" not in names


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
