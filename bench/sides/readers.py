"""Readers of a volume. Each `..._of` returns a call that reads a file and touches every voxel.

What a reader imports is imported before the call: ours by the header of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.volume.read import read_header, read_volume

Call = Callable[[], Any]
Maker = Callable[[Path], Call]


def ours_of(path: Path) -> Call:
    """A file or the folder of a series, in the stored dtype."""
    read_header([path])
    return lambda: _touched(read_volume(path).data)


def nibabel_of(path: Path) -> Call:
    """In the stored dtype; a file that is not compressed is mapped."""
    import nibabel as nib

    return lambda: _touched(np.asanyarray(nib.load(path).dataobj))


def monai_of(path: Path) -> Call:
    """A float32 MetaTensor."""
    from monai.transforms import LoadImage

    load = LoadImage(reader="NibabelReader", image_only=True)
    return lambda: _touched(load(path))


def itk_of(path: Path) -> Call:
    """In the stored dtype."""
    import SimpleITK as sitk

    def read() -> Any:
        image = sitk.ReadImage(path)  # must outlive the view of its voxels
        return _touched(sitk.GetArrayViewFromImage(image))

    return read


def itk_series_of(folder: Path) -> Call:
    """A DICOM series, in the dtype of the rescaled values."""
    import SimpleITK as sitk

    def read() -> Any:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        return _touched(sitk.GetArrayViewFromImage(image))

    return read


def _touched(data: Any) -> Any:
    """The largest value, so that a reader that maps the file has to read it."""
    return data.max()
