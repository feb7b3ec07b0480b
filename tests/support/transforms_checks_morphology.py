"""Values and refusals of BinaryMorphology."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError
from scipy import ndimage
from skimage import morphology
from transforms_checks_labels import BLOBS, LABELS, finished
from transforms_oracle import ARGMAX, RNG, STORED, load, transform

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline

MORPHOLOGY: dict[str, tuple[Callable[..., Any], ...]] = {
    "open": (ndimage.binary_erosion, ndimage.binary_dilation),
    "close": (ndimage.binary_dilation, ndimage.binary_erosion),
    "dilate": (ndimage.binary_dilation,),
    "erode": (ndimage.binary_erosion,),
}


def check_binary_morphology() -> None:
    check_morphology_of_masks()
    big = np.zeros(STORED.shape, np.uint8)
    big[1:8, :5, 1:5], big[4:6, 5:7, :3], big[3, 2, 3] = 3, 1, 0
    cases: list[tuple[dict[str, Any], tuple[float, ...]]] = [
        ({"radius": 1}, (1, 1, 1)),
        ({"radius": [2, 1, 0]}, (2, 1, 0)),
        ({"radius_mm": 2.1}, (1.4, 3.0, 0.525)),  # of voxels of 1.5 × 0.7 × 4 mm
        ({"radius_mm": 4}, (4 / 1.5, 4 / 0.7, 1)),
    ]
    for labels in (big, BLOBS, LABELS, np.zeros_like(LABELS), np.full_like(LABELS, 2)):
        for (args, radii), operation, only in itertools.product(cases, MORPHOLOGY, (None, [3, 1])):
            change = transform("BinaryMorphology", fields="model", operation=operation, applied_labels=only, **args)
            assert_array_equal(finished([*ARGMAX, change], labels)["model"], reshaped(labels, operation, radii, only))
    # labels of 16 bits
    wide = np.where(big > 0, big.astype(np.uint16) + 700, 0).astype(np.uint16)
    change = transform("BinaryMorphology", fields="model", operation="dilate", radius=2)
    assert_array_equal(finished([*ARGMAX, change], wide)["model"], reshaped(wide, "dilate", (2, 2, 2), None))


def check_morphology_of_masks() -> None:
    """As scikit-image's, which ignores voxels outside the volume, for masks that overlap."""
    masks = ndimage.gaussian_filter(RNG.normal(size=(2, *STORED.shape)), (0, 1, 1, 1)) > 0.05
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b"])
    above = transform("ThresholdValues", fields="model", threshold=0.5)
    for operation, function in (
        ("open", morphology.opening),
        ("close", morphology.closing),
        ("dilate", morphology.dilation),
        ("erode", morphology.erosion),
    ):
        change = transform("BinaryMorphology", fields="model", operation=operation, radius=2)
        got = finished([above, change, split], masks.astype(np.float32), ["a", "b"])
        for mask, name in zip(masks, "ab", strict=True):
            want = function(mask.astype(np.uint8), morphology.ball(2), mode="ignore")
            assert_array_equal(got[name], want)
            again = finished([above, change, change, split], masks.astype(np.float32), ["a", "b"])[name]
            if operation in ("open", "close"):
                assert_array_equal(again, want)
    for wrong in ({}, {"radius": 1, "radius_mm": 2.0}):
        with pytest.raises(ValidationError, match=r'takes "radius" \(voxels\) or "radius_mm", one of them'):
            transform("BinaryMorphology", fields="model", operation="open", **wrong)
    for radius in (0, 11, [0, 0, 0], [1, 2, 11]):
        with pytest.raises(ValidationError, match="expected a radius of 1 to 10 voxels, or 3 of 0 to 10"):
            transform("BinaryMorphology", fields="model", operation="open", radius=radius)
    far = transform("BinaryMorphology", fields="model", operation="open", radius_mm=7.5)
    with pytest.raises(ConfigError, match=r"radius_mm 7.5 is 10.71 voxels of 0.7 mm, expected at most 10 voxels"):
        finished([*ARGMAX, far], LABELS)
    with pytest.raises(ConfigError, match="BinaryMorphology: works on labels"):
        Pipeline([load()], [far, *ARGMAX])


def reshaped(labels: np.ndarray, operation: str, radii: tuple[float, ...], only: list[int] | None) -> np.ndarray:
    """SciPy's morphology of one label after the other; a label takes background only."""
    offsets = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"))
    reach = np.array([max(r, 1e-6) for r in radii]).reshape(3, 1, 1, 1)
    structure = ((offsets / reach) ** 2).sum(axis=0) < 1.000001
    out = labels.copy()
    for label in [n for n in np.unique(labels) if n and (only is None or n in only)]:
        mask = out == label
        for step in MORPHOLOGY[operation]:
            erodes = {"border_value": 1} if step is ndimage.binary_erosion else {}
            mask = step(mask, structure, **erodes)
        out[(out == label) & ~mask] = 0
        out[mask & (out == 0)] = label
    return out


VALUES: dict[str, Callable[[], None]] = {"BinaryMorphology": check_binary_morphology}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "BinaryMorphology": ({"fields": "model", "operation": "grow", "radius": 1}, "'open', 'close', 'dilate' or 'erode'"),
}
