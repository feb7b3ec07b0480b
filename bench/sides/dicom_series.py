"""Series of one CT: a file per slice, written by SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpu_infer.volume.volume import Volume

SERIES, STUDY, FRAME = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SLICES = 64


def write_series(volume: Volume, folder: Path, compressor: str | None) -> Path:
    """Write the first `SLICES` slices of the volume, an axial one of one channel; `compressor` is a codec of ITK."""
    import SimpleITK as sitk

    folder.mkdir()
    spacing = [float(s) for s in volume.geometry.spacing]
    for k in range(min(SLICES, volume.geometry.shape[2])):
        image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data[0, :, :, k].T, np.int16)[None])
        image.SetSpacing(spacing)
        place = f"0\\0\\{k * spacing[2]:g}"
        tags = {"0008|0016": CT_IMAGE, "0008|0060": "CT", "0010|0020": "bench", "0020|0013": str(k + 1)}
        tags |= {"0020|000d": STUDY, "0020|000e": SERIES, "0020|0052": FRAME, "0008|0018": f"{SERIES}.{k + 1}"}
        tags |= {"0020|0032": place, "0020|0037": "1\\0\\0\\0\\1\\0", "0018|0050": f"{spacing[2]:g}"}
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{k:03}.dcm"))
        if compressor is not None:
            writer.UseCompressionOn()
            writer.SetCompressor(compressor)
        writer.Execute(image)
    return folder
