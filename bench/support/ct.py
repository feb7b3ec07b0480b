"""The CT that a bench runs on: a file of the user's, or a phantom that needs none."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume

PHANTOM_SHAPE = (512, 512, 200)
PHANTOM_SPACING = (0.75, 0.75, 1.25)
WINDOW = {"a_min": -1500.0, "a_max": 500.0, "b_min": 0.0, "b_max": 1.0, "clip": True}
"""HU that a model sees as 0 … 1: arguments of ScaleIntensityRange, ours and MONAI's."""


def add_input(parser: argparse.ArgumentParser) -> None:
    """The option --input."""
    parser.add_argument("--input", type=Path, help="a CT (a file or a DICOM folder); default: a phantom")


def load(path: Path | None) -> Volume:
    """The volume at `path`, else a phantom of 512×512×200 int16 voxels in LPS order."""
    return phantom() if path is None else read_volume(path)


def phantom(shape: tuple[int, int, int] = PHANTOM_SHAPE) -> Volume:
    """Two air-filled ellipsoids in a cylinder of tissue, with noise, in HU; the same at every call.

    Stored as scanners' NIfTI files are: i fastest in memory, i towards the left, j towards the front.
    """
    rng = np.random.default_rng(20)
    i, j, k = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in shape)
    data = np.empty(shape[::-1], np.int16)  # [K, J, I] in memory
    plane = i[None, :] ** 2 / 0.8 + j[:, None] ** 2 / 0.6
    for index, height in enumerate(k):
        hu = np.where(plane < 1.0, 40.0, -1000.0)
        for side in (-0.42, 0.42):
            inside = ((i[None, :] - side) / 0.28) ** 2 + (j[:, None] / 0.4) ** 2 + (height / 0.8) ** 2 < 1.0
            hu[inside] = -850.0
        data[index] = hu + rng.normal(0.0, 20.0, hu.shape)
    affine = np.diag([-PHANTOM_SPACING[0], -PHANTOM_SPACING[1], PHANTOM_SPACING[2], 1.0])
    affine[:3, 3] = (191.0, 191.0, -120.0)
    return Volume(data.transpose(2, 1, 0)[None], Geometry(shape, affine), Path("phantom.nii"), "nifti")


def described(volume: Volume) -> str:
    """Name without folder, size, dtype and spacing."""
    size = "×".join(map(str, volume.geometry.shape))
    spacing = "×".join(f"{s:.3g}" for s in volume.geometry.spacing)
    return f"{volume.path.name}: {size} {volume.data.dtype}, {spacing} mm"
