"""NIfTI-1, compressed: what the demo's input folder holds."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import publish, staging
from gpu_infer.writers.folders import make_folder


def write_nifti(volume: Volume, folder: Path, name: str) -> Path:
    """Write the volume's voxels as stored, with slope, inter and geometry, to `folder/name`.

    `name` ends in .nii or .nii.gz. Affine in sform and qform, code 1 (scanner). `folder` is made when
    missing. Raises ConfigError (folder) and ResourceError (disk); a file of that name appears whole or not at
    all.
    """
    import nibabel as nib

    data = volume.data[0] if volume.channels == 1 else volume.data.transpose(1, 2, 3, 0)
    image = nib.Nifti1Image(data, volume.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(volume.slope, volume.inter)
    image.set_qform(volume.geometry.affine, code=1)
    image.set_sform(volume.geometry.affine, code=1)
    make_folder(folder)
    with staging(folder, name) as stage:
        image.to_filename(stage / name)
        publish(stage, [name], folder)
    return folder / name
