"""The chain of MONAI Deploy's spleen example in MONAI, and as examples/from_monai_deploy has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference as monai_inference
from numpy.typing import NDArray
from peers_ours import BACKEND, volume_of
from transforms_finish import finish

from gpu_infer import sliding_window_inference
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS

EXAMPLE = Path(__file__).parents[2] / "examples" / "from_monai_deploy" / "config" / "config_inference.json"
SPACING = (1.5, 1.5, 2.9)
SHAPE = (61, 58, 40)


def ct() -> NDArray[np.int16]:
    return (np.random.default_rng(11).normal(size=SHAPE) * 80 + 50).round().astype(np.int16)


def monai_labels(data: NDArray[np.int16], affine: NDArray[np.float64], *, nearest: bool) -> NDArray[np.uint8]:
    """Labels [I, J, K]: softmax and linear restoring as in the example, or argmax and nearest restoring."""
    pre = mt.Compose(
        [
            mt.Orientationd(keys="image", axcodes="RAS", labels=None),
            mt.Spacingd(keys="image", pixdim=SPACING, mode=["bilinear"]),
            mt.ScaleIntensityRanged(keys="image", a_min=-57, a_max=164, b_min=0.0, b_max=1.0, clip=True),
        ]
    )
    image = pre({"image": MetaTensor(torch.from_numpy(data[None].astype(np.float32)), affine=affine)})["image"]

    def model(windows: Any) -> Any:
        return torch.cat([torch.full_like(windows, 5.0), 10 * windows], 1)

    scores = monai_inference(image[None], (32, 32, 32), 4, model, overlap=0.6)[0].as_tensor()
    invert = mt.Invertd(keys="pred", transform=pre, orig_keys="image", nearest_interp=nearest, to_tensor=True)
    argmax, softmax = mt.AsDiscreted(keys="pred", argmax=True), mt.Activationsd(keys="pred", softmax=True)
    post = mt.Compose([softmax, argmax, invert] if nearest else [softmax, invert, argmax])
    labels = post({"image": image, "pred": MetaTensor(scores, meta=image.meta)})["pred"][0]
    return np.asarray(labels.numpy().astype(np.uint8))


def our_labels(data: NDArray[np.int16], affine: NDArray[np.float64], *, nearest: bool) -> NDArray[Any]:
    """Labels [I, J, K] of the example's transforms, or of these with an argmax first and `is_label` true."""
    config = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    restore, argmax = config["post_transforms"]
    if nearest:
        restore["args"]["is_label"] = True
    chains = config["pre_transforms"], ([argmax, restore] if nearest else [restore, argmax])
    pre, post = ([TRANSFORMS[step["name"]](**step["args"]) for step in chain] for chain in chains)
    pipeline = Pipeline(pre, post)
    fields = pipeline.prepare(volume_of(data, affine), BACKEND)

    def model(windows: Any) -> Any:
        return np.concatenate([np.full_like(windows, 5.0), 10 * windows], 1)

    scores = sliding_window_inference(fields["image"].array[None], (32, 32, 32), 4, model, overlap=0.6)[0]
    result = scores.argmax(0).astype(np.uint8) if nearest else scores
    return np.asarray(finish(pipeline, result, fields, BACKEND))


@pytest.mark.parametrize("nearest", [False, True], ids=["linear", "nearest"])
def test_labels_of_a_volume_with_the_models_spacing_are_equal(nearest: bool) -> None:
    affine = np.diag([-1.5, -1.5, 2.9, 1.0])  # stored as LPS, like DICOM
    actual = our_labels(ct(), affine, nearest=nearest)
    assert 0.3 < actual.mean() < 0.7
    np.testing.assert_array_equal(actual, monai_labels(ct(), affine, nearest=nearest))


def test_labels_on_the_same_grid_are_equal_with_nearest_restoring() -> None:
    """60 steps of 0.8 mm are 32 of 1.5 mm, so that both make 33 samples at the same positions."""
    affine = np.diag([0.8, 1.5, 2.9, 1.0])
    actual = our_labels(ct(), affine, nearest=True)
    np.testing.assert_array_equal(actual, monai_labels(ct(), affine, nearest=True))


def test_labels_on_the_same_grid_differ_with_the_softmax_at_the_border_alone() -> None:
    affine = np.diag([0.8, 1.5, 2.9, 1.0])
    differing = our_labels(ct(), affine, nearest=False) != monai_labels(ct(), affine, nearest=False)
    shared = np.arange(SHAPE[0])[::15]  # 0.8·15 = 1.5·8: samples of both grids, which are not interpolated
    assert 0 < differing.mean() < 0.1
    assert not differing[shared].any()
