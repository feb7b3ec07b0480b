"""Cubic resampling of one CT to a voxel size: ours, SciPy's, scikit-image's and MONAI's."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.sides.chains import Call, Spacing
from bench.support.ct import PHANTOM_SPACING, phantom
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.volume.volume import Volume

Shape = tuple[int, int, int]


@cache
def volume_of(shape: Shape) -> Volume:
    """The phantom of this shape in memory, once per process."""
    return phantom(shape)


def ours(shape: Shape, spacing: Spacing) -> Call:
    """float32 [1, X, Y, Z], from the voxels as stored."""
    volume, backend = volume_of(shape), CpuBackend()
    pre = [
        TRANSFORMS["LoadNifti"](fields="image"),
        TRANSFORMS["ScaleBySpacing"](fields="image", target_spacing=list(spacing), interpolation="cubic"),
    ]
    pipeline = Pipeline(pre, [TRANSFORMS["ArgmaxAcrossChannels"](fields="model")])
    return lambda: pipeline.prepare(volume, backend, np.float32)["image"].array


def scipy_zoom(shape: Shape, spacing: Spacing) -> Call:
    """scipy.ndimage.zoom(order=3, mode="nearest") of float32 voxels."""
    from scipy import ndimage

    image = _image(shape)
    factors = [m / n for m, n in zip(_target(shape, spacing), shape, strict=True)]
    return lambda: ndimage.zoom(image, factors, order=3, mode="nearest")


def skimage_resize(shape: Shape, spacing: Spacing) -> Call:
    """skimage.transform.resize(order=3, mode="edge") without its filter and its clip."""
    from skimage.transform import resize

    image, target = _image(shape), _target(shape, spacing)
    options: dict[str, Any] = {"mode": "edge", "clip": False, "preserve_range": True, "anti_aliasing": False}
    return lambda: resize(image, target, order=3, **options)


def monai_spacing(shape: Shape, spacing: Spacing) -> Call:
    """MONAI's Spacingd(mode=3, padding_mode="nearest") of a float32 MetaTensor."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Spacingd

    affine = torch.from_numpy(volume_of(shape).geometry.affine)
    image = MetaTensor(torch.from_numpy(_image(shape))[None], affine=affine)
    chain = Spacingd(keys="image", pixdim=spacing, mode=3, padding_mode="nearest", dtype=np.float32)
    return lambda: chain({"image": image})["image"]


def _image(shape: Shape) -> NDArray[np.float32]:
    return np.ascontiguousarray(volume_of(shape).data[0], np.float32)


def _target(shape: Shape, spacing: Spacing) -> Shape:
    x, y, z = (round(n * s / t) for n, s, t in zip(shape, PHANTOM_SPACING, spacing, strict=True))
    return x, y, z
