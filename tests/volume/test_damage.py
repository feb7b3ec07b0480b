"""A damaged header gives a valid volume or a one-line `GpuInferError`, never another exception."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_infer.errors import GpuInferError
from gpu_infer.volume.read import read_volume

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
HEADER_BYTES = {"v.nii": 352, "w.nii": 544, "v.mhd": 350, "v.nrrd": 300}
NAMES = sorted(HEADER_BYTES)


def write(folder: Path, name: str) -> bytes:
    path = folder / name
    if name == "v.nii":
        nib.Nifti1Image(VOXELS, np.diag([1.0, 2, 3, 1])).to_filename(path)
    elif name == "w.nii":
        nib.Nifti2Image(VOXELS, np.diag([1.0, 2, 3, 1])).to_filename(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(VOXELS), path)
    return path.read_bytes()


def check_outcome(path: Path) -> None:
    try:
        volume = read_volume(path)
    except GpuInferError as error:
        refusal: GpuInferError | None = error
    else:
        refusal = None
    if refusal:
        assert "\n" not in str(refusal)
        return
    assert np.isfinite(volume.geometry.affine).all()
    assert np.linalg.det(volume.geometry.affine[:3, :3]) != 0
    assert volume.data.shape[1:] == volume.geometry.shape


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50)
@given(data=st.data())
def test_bytes_of_the_header(tmp_path: Path, name: str, data: st.DataObject) -> None:
    raw = bytearray(write(tmp_path, name))
    last = min(HEADER_BYTES[name], len(raw)) - 1
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(raw)
    check_outcome(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "key", "separator"),
    [
        *(("v.mhd", k, " = ") for k in ("NDims", "DimSize", "ElementSpacing", "Offset", "TransformMatrix")),
        *(("v.mhd", k, " = ") for k in ("ElementType", "ElementNumberOfChannels", "HeaderSize", "ElementDataFile")),
        *(("v.nrrd", k, ": ") for k in ("type", "dimension", "sizes", "space directions", "space origin", "kinds")),
        *(("v.nrrd", k, ": ") for k in ("encoding", "endian", "data file", "spacings")),
    ],
)
@pytest.mark.parametrize(
    "value", ["", "abc", "1e999", "-5", "(1,2) (3)", "(1,b,3)", "()", "3 3 3 3 3 3 3 3 3 3", "2.5"]
)
def test_values_of_text_headers(tmp_path: Path, name: str, key: str, separator: str, value: str) -> None:
    head, blank, rest = write(tmp_path, name).partition(b"\n\n")
    lines = [line for line in head.decode().splitlines() if not line.startswith(key + separator)]
    place = len(lines) if key == "ElementDataFile" or name == "v.nrrd" else 3
    lines.insert(place, f"{key}{separator}{value}")
    text = "\n".join(lines) + ("\n" if name == "v.mhd" else "")
    (tmp_path / name).write_bytes(text.encode() + blank + rest)
    check_outcome(tmp_path / name)
