"""The two chains that prepare and finish are compared on: ours, and the same one in MONAI's transforms.

Each `..._of` returns a call without arguments; what is needed only once (the volume in memory, the chain)
is created before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.support import ct
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.volume.volume import Volume

Spacing = tuple[float, float, float]
Call = Callable[[], Any]

SPACINGS: dict[str, Spacing] = {"0.8×0.8×5.0 mm": (0.8, 0.8, 5.0), "1×1×1 mm": (1.0, 1.0, 1.0)}
"""Of the lung demo, and the isotropic one that many whole-body models are trained at."""


@cache
def volume_of(path: Path | None) -> Volume:
    """The bench's CT in memory, once per process."""
    return ct.load(path)


# -- ours --------------------------------------------------------------------------------------------------------
def our_pipeline(spacing: Spacing) -> Pipeline:
    """Load in RAS, resample, scale; argmax, back to the file's grid."""

    def make(name: str, **arguments: Any) -> Any:
        return TRANSFORMS[name](**arguments)

    pre = [
        make("LoadNifti", fields="image"),
        make("ConvertToChannelsFirst", fields="image"),
        make("ScaleBySpacing", fields="image", target_spacing=list(spacing)),
        make("ScaleIntensityRange", fields="image", **ct.WINDOW),
    ]
    post = [
        make("ArgmaxAcrossChannels", fields="model"),
        make("RestoreOriginalShape", field="model", src_field="image", is_label=True),
    ]
    return Pipeline(pre, post)


def our_prepare_of(path: Path | None, spacing: Spacing) -> Call:
    """float32 [1, X, Y, Z], from the voxels as stored."""
    volume, pipeline, backend = volume_of(path), our_pipeline(spacing), CpuBackend()
    return lambda: pipeline.prepare(volume, backend, np.float32)["image"].array


def our_finish_of(path: Path | None, spacing: Spacing, classes: int) -> Call:
    """Labels [I, J, K] of scores [K, X, Y, Z]."""
    volume, pipeline, backend = volume_of(path), our_pipeline(spacing), CpuBackend()
    fields = pipeline.prepare(volume, backend, np.float32)
    image = fields["image"].array
    scores = scores_of(image[0], classes)
    fields["image"].array = None

    def finish() -> Any:
        labels = backend.empty(scores.shape[1:], np.uint8)
        backend.argmax(scores, labels)
        copies = {name: state.copy() for name, state in fields.items()}
        pipeline.accept(labels, copies)
        return pipeline.deliver(copies, backend)[pipeline.result_field]

    return finish


def scores_of(image: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Scores [K, X, Y, Z] that follow the image [X, Y, Z] (0 … 1): class k wins around k / (K − 1)."""
    centres = np.linspace(0.0, 1.0, classes, dtype=np.float32)
    scores = np.empty((classes, *image.shape), np.float32)
    for channel, centre in zip(scores, centres, strict=True):
        np.subtract(image, centre, out=channel)
        np.abs(channel, out=channel)
        np.negative(channel, out=channel)
    return scores


# -- MONAI -------------------------------------------------------------------------------------------------------
def monai_chain(spacing: Spacing, *, lazy: bool = False) -> Any:
    """Orientationd, Spacingd and ScaleIntensityRanged over the key "image"."""
    from monai.transforms import Compose, Orientationd, ScaleIntensityRanged, Spacingd

    return Compose(
        [
            Orientationd(keys="image", axcodes="RAS", labels=None),
            Spacingd(keys="image", pixdim=spacing, mode="bilinear"),
            ScaleIntensityRanged(keys="image", **ct.WINDOW),
        ],
        lazy=lazy,
    )


def monai_image(path: Path | None) -> Any:
    """The CT as LoadImaged and EnsureChannelFirstd return it: a float32 MetaTensor [1, I, J, K]."""
    import torch
    from monai.data import MetaTensor

    volume = volume_of(path)
    data = np.ascontiguousarray(volume.data, np.float32) * np.float32(volume.slope) + np.float32(volume.inter)
    return MetaTensor(torch.from_numpy(data), affine=torch.from_numpy(volume.geometry.affine))


def monai_prepare_of(path: Path | None, spacing: Spacing, lazy: bool = False) -> Call:
    """MetaTensor [1, X, Y, Z] float32; `lazy`: orientation and spacing in one resampling."""
    chain, image = monai_chain(spacing, lazy=lazy), monai_image(path)
    return lambda: chain({"image": image})["image"]


def monai_finish_of(path: Path | None, spacing: Spacing, classes: int) -> Call:
    """AsDiscreted(argmax) and Invertd: MetaTensor [1, I, J, K]."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import AsDiscreted, Compose, Invertd

    chain = monai_chain(spacing)
    image = chain({"image": monai_image(path)})["image"]
    scores = torch.from_numpy(scores_of(image[0].numpy(), classes))
    post = Compose(
        [
            AsDiscreted(keys="pred", argmax=True),
            Invertd(keys="pred", transform=chain, orig_keys="image", nearest_interp=True, to_tensor=True),
        ]
    )
    return lambda: post({"image": image, "pred": MetaTensor(scores, meta=image.meta)})["pred"]


# -- resampling alone ----------------------------------------------------------------------------------------------
def scipy_prepare_of(path: Path | None, spacing: Spacing) -> Call:
    """scipy.ndimage.zoom(order=1) of the canonical view, then the intensity range in NumPy."""
    from scipy import ndimage

    image, shape = _canonical(path), _shape(path, spacing)
    factors = [m / n for m, n in zip(shape, image.shape, strict=True)]

    def prepare() -> NDArray[np.float32]:
        out: NDArray[np.float32] = ndimage.zoom(image.astype(np.float32), factors, order=1, mode="nearest")
        out += np.float32(1500.0)
        out /= np.float32(2000.0)
        return np.clip(out, 0.0, 1.0, out=out)

    return prepare


def torch_prepare_of(path: Path | None, spacing: Spacing) -> Call:
    """torch.nn.functional.interpolate(trilinear, align_corners=True), then the intensity range."""
    import torch

    image, shape = _canonical(path), _shape(path, spacing)

    def prepare() -> Any:
        x = torch.from_numpy(image.astype(np.float32, order="C"))[None, None]
        out = torch.nn.functional.interpolate(x, size=shape, mode="trilinear", align_corners=True)
        return out.add_(1500.0).div_(2000.0).clamp_(0.0, 1.0)

    return prepare


def _canonical(path: Path | None) -> NDArray[Any]:
    volume = volume_of(path)
    return volume.geometry.orientation.view(volume.data)[0]


def _shape(path: Path | None, spacing: Spacing) -> tuple[int, ...]:
    return tuple(our_prepare_of(path, spacing)().shape[1:])
