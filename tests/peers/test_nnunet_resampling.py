"""ScaleAsNnunet and the linear restore after it, against the resampling functions of nnU-Net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape, resample_data_or_seg_to_shape
from numpy.typing import NDArray
from peers_ours import BACKEND, volume_of
from transforms_finish import finish

from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS

CASES = {  # spacing of the file X, Y, Z; target; shape
    "isotropic": ((0.8, 0.9, 1.25), (1.1, 1.1, 1.1), (33, 29, 21)),
    "thick slices in the file": ((0.7, 0.7, 5.0), (1.0, 1.0, 2.5), (30, 34, 11)),
    "thick slices in the target": ((1.0, 1.0, 2.0), (0.8, 0.8, 6.0), (24, 23, 25)),
    "thick along X": ((6.0, 1.0, 0.9), (3.0, 1.2, 1.2), (9, 30, 28)),
    "two thick axes": ((0.24, 1.25, 1.25), (0.5, 1.0, 1.0), (40, 21, 20)),
    "another axis each way": ((0.8, 0.8, 4.0), (4.0, 0.9, 0.8), (42, 20, 12)),
    "a half": ((0.75, 0.75, 0.75), (1.5, 1.5, 1.5), (33, 35, 20)),
    "slices stay": ((0.8, 0.8, 4.0), (1.0, 1.0, None), (31, 30, 9)),
}


def _pipeline(args: dict[str, Any]) -> Pipeline:
    components = [
        ("LoadNifti", {"fields": "image"}),
        ("ConvertToChannelsFirst", {"fields": "image"}),
        ("ScaleAsNnunet", {"fields": "image", **args}),
    ]
    post = [
        ("RestoreOriginalShape", {"field": "model", "src_field": "image", "is_label": False}),
        ("ArgmaxAcrossChannels", {"fields": "model"}),
    ]
    return Pipeline([TRANSFORMS[n](**a) for n, a in components], [TRANSFORMS[n](**a) for n, a in post])


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("force", [None, False, True])
@pytest.mark.parametrize("case", CASES)
def test_values_and_labels(case: str, force: bool | None, order: int, equivalence: Any) -> None:
    spacing, target, shape = CASES[case]
    full = [s if t is None else t for s, t in zip(spacing, target, strict=True)]
    rng = np.random.default_rng(7)
    data = rng.normal(0, 200, (2, *shape)).astype(np.float32)
    data[1] *= 3
    data[:, :, :, : shape[2] // 2] *= 0.2  # so that slices have other ranges than the volume
    volume = volume_of(data, np.diag([*spacing, 1.0]))
    pipeline = _pipeline({"target_spacing": target, "order": order, "force_separate_z": force})
    fields = pipeline.prepare(volume, BACKEND)
    size = compute_new_shape(np.array(shape), spacing, full)
    expected = _nnunet(data, size, spacing, full, order, force)
    actual = fields["image"].array
    assert actual.shape == expected.shape
    worst = np.abs(actual - expected).max() / np.ptp(data)
    assert worst < 1e-5
    # logits back to the grid of the file, by the rule of the plans: order 1, the spacings decide
    scores = rng.normal(0, 1, (3, *actual.shape[1:])).astype(np.float32)
    logits = _nnunet(scores, shape, full, spacing, 1, None)
    labels = finish(pipeline, scores, fields, BACKEND)
    ordered = np.sort(logits, axis=0)
    decided = ordered[-1] - ordered[-2] > 1e-4
    assert decided.mean() > 0.99
    np.testing.assert_array_equal(np.asarray(labels)[decided], logits.argmax(0)[decided])
    equivalence.record(
        "nnunetv2 resample_data_or_seg_to_shape",
        "ScaleAsNnunet, and RestoreOriginalShape after it",
        tolerance="1e-5 of the range",
        worst=worst,
        differs="order_z is 0. Spacings that differ by less than 1e-6 of each other are equal.",
    )


def _nnunet(
    data: NDArray[np.float32], size: Any, current: Any, new: Any, order: int, force: bool | None
) -> NDArray[np.float32]:
    """[C, X, Y, Z] through [C, Z, Y, X], as nnU-Net has its axes."""
    turned = np.ascontiguousarray(data.transpose(0, 3, 2, 1))
    arguments = (tuple(size)[::-1], tuple(current)[::-1], tuple(new)[::-1])
    result: NDArray[np.float32] = resample_data_or_seg_to_shape(
        turned, *arguments, is_seg=False, order=order, order_z=0, force_separate_z=force
    )
    return result.transpose(0, 3, 2, 1)
