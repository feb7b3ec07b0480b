"""NIfTI-1 files, for the demo's input folder."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import make_folder, open_stage, publish


def write_nifti(volume: Volume, folder: Path, name: str) -> Path:
    """Write the volume's voxels as stored, with slope, inter and geometry, and return the path.

    Args:
        volume: channels become the fourth axis; the affine goes into sform and qform, code 1 (scanner).
        folder: is made if it is missing.
        name: ends in .nii or .nii.gz; the file appears whole or not at all.

    Raises:
        ConfigError: the folder cannot be made or written.
        ResourceError: the disk is full.
    """
    import nibabel as nib

    data = volume.data[0] if volume.channels == 1 else volume.data.transpose(1, 2, 3, 0)
    image = nib.Nifti1Image(data, volume.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(volume.slope, volume.inter)
    image.set_qform(volume.geometry.affine, code=1)
    image.set_sform(volume.geometry.affine, code=1)
    make_folder(folder)
    with open_stage(folder, name) as stage:
        image.to_filename(stage / name)
        publish(stage, [name], folder)
    return folder / name
