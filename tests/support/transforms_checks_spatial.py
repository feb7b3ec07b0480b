"""Values and refusals of the transforms that change the grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from skimage.transform import resize
from transforms_finish import finish
from transforms_oracle import ARGMAX, BACKEND, STORED, load, prepared, transform, volume_of, zoom

from gpu_infer.transforms.chain.pipeline import Pipeline


def check_scaled(name: str, args: dict[str, Any], shape: tuple[int, ...]) -> None:
    first, last = (transform(f"ConvertToChannels{w}", fields="image") for w in ("First", "Last"))
    for options, order, grid_mode in (
        ({}, 1, False),
        ({"is_label": True}, 0, False),
        ({"align_corners": False}, 1, True),
    ):
        scale = transform(name, fields="image", **args, **options)
        want = zoom(STORED[None], shape, order, grid_mode)
        for chain in ([load(), scale], [load(), first, scale], [load(), last, scale], [load(), scale, first]):
            assert_allclose(prepared(*chain), want, atol=1e-3, err_msg=str(options))
    smooth = transform(name, fields="image", **args, anti_aliasing=True, align_corners=False)
    want = resize(STORED.astype(np.float64), shape, order=1, mode="edge", preserve_range=True, anti_aliasing=True)
    assert_allclose(prepared(load(), smooth)[0], want, atol=1e-3)


def check_scale_by_factor() -> None:
    check_scaled("ScaleByFactor", {"factor": 0.5}, (4, 4, 2))  # 4.5, 3.5 and 2.5 voxels: halves to even
    check_scaled("ScaleByFactor", {"factor": [2, 1, 0.01]}, (18, 7, 1))


def check_scale_to_shape() -> None:
    check_scaled("ScaleToShape", {"target_shape": [4, 14, 5]}, (4, 14, 5))


def check_scale_as_nnunet() -> None:
    data = np.random.default_rng(3).normal(size=(2, 9, 7, 6)).astype(np.float32)
    data[:, :, :, :3] *= 0.1  # slices of other ranges than the volume

    def scaled(target: list[float | None], spacing: tuple[float, ...], **options: Any) -> Any:
        scale = transform("ScaleAsNnunet", fields="image", target_spacing=target, **options)
        return (
            Pipeline([load(), scale], ARGMAX).prepare(volume_of(data, np.diag([*spacing, 1.0])), BACKEND)["image"].array
        )

    def limited(image: Any, shape: tuple[int, ...]) -> Any:
        return np.clip(
            ndimage.zoom(image, np.divide(shape, image.shape), order=3, mode="nearest", grid_mode=True),
            image.min(),
            image.max(),
        )

    # 9 · 1.5 / 1 = 13.5, to even; 7 · 0.8; 6 · 1.3
    want = [limited(channel, (14, 6, 8)) for channel in data]
    assert_allclose(scaled([1, 1, 1], (1.5, 0.8, 1.3)), want, atol=1e-5)
    assert_allclose(
        scaled([1, None, 1], (1.5, 0.8, 1.3)), [limited(channel, (14, 7, 8)) for channel in data], atol=1e-5
    )
    # slices of 4 mm: each alone, and the nearest one; 6 · 4 / 3 = 8 of them
    nearest = [0, 1, 1, 2, 3, 4, 4, 5]
    thick = [np.stack([limited(channel[:, :, k], (8, 6)) for k in nearest], axis=2) for channel in data]
    assert_allclose(scaled([1, 1, 3], (0.9, 0.8, 4.0)), thick, atol=1e-5)
    whole = [limited(channel, (8, 6, 8)) for channel in data]
    assert_allclose(scaled([1, 1, 3], (0.9, 0.8, 4.0), force_separate_z=False), whole, atol=1e-5)
    assert_allclose(scaled([1, 1, 3], (0.9, 0.8, 4.0), anisotropy_threshold=6), whole, atol=1e-5)
    assert_allclose(
        scaled([1, 1, 3], (0.9, 0.8, 4.0), order=1, force_separate_z=False), zoom(data, (8, 6, 8), 1, True), atol=1e-5
    )


def check_crop_fixed_size_center() -> None:
    for size, box in (
        ([4, 3, 5], np.s_[2:6, 2:5, :]),  # (9 − 4) // 2, (7 − 3) // 2
        (4, np.s_[2:6, 1:5, 0:4]),
        ([100, 1, 2], np.s_[:, 3:4, 1:3]),
    ):
        crop = transform("CropFixedSizeCenter", fields="image", size=size)
        assert_array_equal(prepared(load(), crop)[0], STORED[box])
    scale = transform("ScaleToShape", fields="image", target_shape=[17, 7, 9])
    crop = transform("CropFixedSizeCenter", fields="image", size=5)
    want = zoom(STORED[None], (17, 7, 9))[:, 6:11, 1:6, 2:7]
    assert_allclose(prepared(load(), scale, crop), want, atol=1e-3)
    want = zoom(STORED[None, 2:7, 1:6, 0:5], (17, 7, 9))
    assert_allclose(prepared(load(), crop, scale), want, atol=1e-3)


def check_crop_foreground_object() -> None:
    data = np.zeros((2, 9, 7, 5), np.int16)
    data[0, 2:4, 3, 1:3] = 5
    data[1, 6, 5, 2] = 7
    data[1, 0, 0, 3] = -4
    volume = volume_of(data)
    for args, box in (
        ({}, np.s_[2:7, 3:6, 1:3]),
        ({"pad": 2}, np.s_[0:9, 1:7, 0:5]),
        ({"threshold": 5}, np.s_[6:7, 5:6, 2:3]),
        ({"threshold": 100}, np.s_[:, :, :]),
        ({"threshold": -5}, np.s_[:, :, :]),
        ({"nonzero": True}, np.s_[0:7, 0:6, 1:4]),
        ({"nonzero": True, "channel_indices": 1}, np.s_[0:7, 0:6, 2:4]),
        ({"channel_indices": [1]}, np.s_[6:7, 5:6, 2:3]),
        ({"channel_indices": [1, 0]}, np.s_[2:7, 3:6, 1:3]),
    ):
        pipeline = Pipeline([load(), transform("CropForegroundObject", image_field="image", **args)], ARGMAX)
        assert pipeline.grid_decided_by_voxels
        state = pipeline.prepare(volume, BACKEND)["image"]
        assert_array_equal(state.array, data[(slice(None), *box)], err_msg=str(args))
        # and back, into 0
        inside = np.full(state.shape, 3, np.uint8)
        want = np.zeros(data.shape[1:], np.uint8)
        want[box] = 3
        back = transform("RestoreOriginalShape", field="model", src_field="image")
        pipeline = Pipeline(pipeline.pre, [*ARGMAX, back])
        assert_array_equal(finish(pipeline, inside, pipeline.prepare(volume, BACKEND), BACKEND), want)


def check_symmetric_padder_div() -> None:
    for div, pad in (
        (4, ((1, 2), (0, 1), (1, 2))),  # 9, 7, 5 to 12, 8, 8
        ([9, 5, 3], ((0, 0), (1, 2), (0, 1))),
        (1, ((0, 0), (0, 0), (0, 0))),
    ):
        got = prepared(load(), transform("SymmetricPadderDiv", fields="image", div_int=div))
        assert_array_equal(got[0], np.pad(STORED, pad))


VALUES: dict[str, Callable[[], None]] = {
    "ScaleAsNnunet": check_scale_as_nnunet,
    "ScaleByFactor": check_scale_by_factor,
    "ScaleToShape": check_scale_to_shape,
    "CropFixedSizeCenter": check_crop_fixed_size_center,
    "CropForegroundObject": check_crop_foreground_object,
    "SymmetricPadderDiv": check_symmetric_padder_div,
}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "ScaleAsNnunet": (
        {"fields": "image", "target_spacing": [1, 0, 1]},
        "expected 3 positive numbers, or null for the spacing of the file",
    ),
    "ScaleByFactor": ({"fields": "image", "factor": 0}, "expected a positive number, or 3 of them"),
    "ScaleToShape": ({"fields": "image", "target_shape": [4, 4.5, 4]}, "expected 3 positive whole numbers"),
    "CropFixedSizeCenter": ({"fields": "image", "size": [4, 4]}, "expected a whole number of at least 1, or 3 of them"),
    "CropForegroundObject": (
        {"fields": "image", "image_field": "image"},
        '"image_field" and "fields" are the same argument: keep one',
    ),
    "SymmetricPadderDiv": ({"fields": "image", "div_int": 0}, "expected a whole number of at least 1, or 3 of them"),
}
