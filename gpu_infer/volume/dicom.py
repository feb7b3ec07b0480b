"""A folder with one DICOM series, read by GDCM, its slices checked to be one regular grid.

GDCM would stack whatever it is given; a missing slice or a tilted gantry would then shift labels in the
patient, so both are refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from ..errors import InputError
from .checks import narrow
from .dicom_slices import Slice, ordered, thickness
from .itk import grid, pixels
from .itk_log import collected, itk_reason
from .volume import Volume

# Multi-frame classes whose frames carry positions: enhanced CT, MR, PET and their legacy-converted forms.
_ENHANCED = {
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.128.1",
}
_MEDIA_CLASS = b"\x02\x00\x02\x00UI"  # (0002,0002), explicit VR little endian as all file meta information
_EXPORT = "export the series again, or convert it to .nii.gz"


def holds_series(folder: Path) -> bool:
    """Whether GDCM finds an image series directly in `folder`."""
    return bool(_series(folder, []))


def read_dicom(folder: Path) -> Volume:
    """Volume of the one series in `folder`; file names and extensions do not matter.

    Values are in physical units (slope and intercept applied by GDCM; dtype is what holds them). Raises
    `InputError` for several series (listing them), missing or doubled slices, a tilted gantry, colour, and
    unreadable slices.
    """
    notes: list[str] = []
    found = _series(folder, notes)
    if not found:
        raise InputError(f"{folder}: no DICOM series in this folder", remedy="give the folder that holds the slices")
    headers = {uid: [_header(file) for file in files] for uid, files in found.items()}
    if len(headers) > 1:
        listed = "; ".join(_describe(uid, slices) for uid, slices in headers.items())
        raise InputError(f"{folder}: {len(headers)} DICOM series: {listed}", remedy="keep one series in the folder")
    slices = next(iter(headers.values()))
    _check_none_left_out(folder, slices)
    files = tuple(s.path for s in slices)
    if any(s.samples != 1 for s in slices):
        raise InputError(f"{folder}: colour images, expected one sample per pixel", remedy="give the original series")
    if any(s.frames > 1 for s in slices):
        image = _multi_frame(folder, slices, notes)
    else:
        slices = ordered(slices, folder)
        files = tuple(s.path for s in slices)
        image = _stack(folder, slices, notes)
    geometry, _ = grid(image, folder)
    i, j, k = geometry.shape
    data, changed = narrow(pixels(image).reshape(1, k, j, i).transpose(0, 3, 2, 1), folder)
    return Volume(data, geometry, folder, "dicom", warnings=(*notes, *changed), files=files)


def _series(folder: Path, notes: list[str]) -> dict[str, tuple[Path, ...]]:
    with collected([]):  # GDCM's only remark here is that a folder holds no series
        uids = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    with collected(notes):
        names = {uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid) for uid in uids}
    return {uid: tuple(map(Path, files)) for uid, files in names.items()}


def _header(path: Path) -> Slice:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        with collected([]):
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: not readable as a DICOM image: {itk_reason(error)}", remedy=_EXPORT) from None
    tags = {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
    size = reader.GetSize()
    return Slice(path, tags, (size[0], size[1]), size[2] if len(size) > 2 else 1, int(reader.GetNumberOfComponents()))


def _describe(uid: str, slices: Sequence[Slice]) -> str:
    tags = slices[0].tags
    short = uid if len(uid) <= 20 else f"…{uid[-17:]}"
    name = tags.get("0008|103e") or "no description"
    return f"{short} {tags.get('0008|0060', '?')} {name!r} ({len(slices)} files)"


def _check_none_left_out(folder: Path, slices: Sequence[Slice]) -> None:
    """GDCM passes over files that it cannot parse: a truncated last slice would go unnoticed."""
    read = {s.path.name for s in slices}
    classes = {s.tags.get("0008|0016", "") for s in slices}
    for path in sorted(folder.iterdir()):
        if path.name not in read and path.is_file() and _media_class(path) in classes:
            raise InputError(f"{path}: truncated or damaged slice, GDCM cannot read it", remedy=_EXPORT)


def _media_class(path: Path) -> str | None:
    """SOP class that the file meta information names; None for what is no DICOM file."""
    with path.open("rb") as file:
        head = file.read(1024)
    at = head.find(_MEDIA_CLASS)
    if head[128:132] != b"DICM" or at < 0:
        return None
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length].decode("latin-1").strip("\0 ")


def _multi_frame(folder: Path, slices: Sequence[Slice], notes: list[str]) -> Any:
    first = slices[0]
    if len(slices) > 1 or first.tags.get("0008|0016") not in _ENHANCED:
        raise InputError(
            f"{first.path}: multi-frame class {first.tags.get('0008|0016', '?')}, {len(slices)} files,"
            " expected one enhanced CT, MR or PET file",
            remedy="convert the series to .nii.gz",
        )
    image = _execute(sitk.ImageFileReader(), [str(first.path)], folder, notes)
    # GDCM says 1×1×1 mm when it cannot derive spacing from the frames' positions.
    if image.GetSpacing() == (1.0, 1.0, 1.0):
        raise InputError(
            f"{first.path}: {first.frames} frames without regular spacing (missing, unordered or uneven)",
            remedy="convert the series to .nii.gz",
        )
    notes.append("multi-frame DICOM: positions and rescaling as GDCM derives them, frames not checked one by one")
    return image


def _stack(folder: Path, slices: Sequence[Slice], notes: list[str]) -> Any:
    reader = sitk.ImageSeriesReader()
    scalings = {(s.number("0028|1053", 1.0), s.number("0028|1052", 0.0)) for s in slices}
    if len(scalings) > 1:
        # ITK takes the first slice's type for all; integers would cut the others' fractions off.
        reader.SetOutputPixelType(sitk.sitkFloat32)
        notes.append("rescale slope or intercept differ between slices: kept as float32")
    image = _execute(reader, [str(s.path) for s in slices], folder, notes)
    if len(slices) == 1:  # no distance to take, and GDCM puts 1 mm whatever the thickness
        image.SetSpacing((*image.GetSpacing()[:2], thickness(slices[0], notes)))
    return image


def _execute(reader: Any, files: list[str], folder: Path, notes: list[str]) -> Any:
    reader.SetImageIO("GDCMImageIO")
    if isinstance(reader, sitk.ImageSeriesReader):
        reader.SetFileNames(files)
    else:
        reader.SetFileName(files[0])
    try:
        with collected(notes):
            return reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{folder}: pixels cannot be read: {itk_reason(error)}", remedy=_EXPORT) from None
