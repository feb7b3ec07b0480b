"""DICOM files for tests, written with pydicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_volume

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
RT_STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ROWS, COLUMNS, STEP = 4, 5, 2.5
SPACING = (0.7, 0.8)  # between rows, between columns


def dataset(sop_class: str, series: str) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.SeriesDescription = "CT", "chest"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series, "1.2.826.0.1"
    ds.PatientID = ds.PatientName = "test"
    return ds


def pixel_tags(ds: Dataset) -> None:
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 4000, (ROWS, COLUMNS)).astype(np.uint16)


def hounsfield(numbers: range | list[int]) -> np.ndarray:
    """Return the values [1, I, J, K] of slices that `write_slice` wrote."""
    return np.stack([pixels(n).astype(int) - 1024 for n in numbers]).transpose(2, 1, 0)[None]


def refused(folder: Path, text: str) -> str:
    """Check that `folder` is refused with one line that matches `text`, and return the line."""
    with pytest.raises(InputError, match=text) as caught:
        read_volume(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    return str(caught.value)


def normal(cosines: tuple[float, ...]) -> np.ndarray:
    return np.cross(cosines[:3], cosines[3:])


def write_slice(
    path: Path,
    number: int,
    *,
    series: str = "1.2.826.0.1.1",
    cosines: tuple[float, ...] = AXIAL,
    position: np.ndarray | None = None,
    **tags: object,
) -> None:
    """Write slice `number`: random pixels, HU = stored − 1024, at 10, 20, 30 plus `number` steps along the normal."""
    ds = dataset(CT, series)
    pixel_tags(ds)
    where = np.array([10.0, 20, 30]) + STEP * number * normal(cosines) if position is None else position
    ds.ImagePositionPatient = [f"{v:.10g}" for v in where]
    ds.ImageOrientationPatient = [f"{v:.10g}" for v in cosines]
    ds.PixelSpacing, ds.SliceThickness, ds.InstanceNumber = list(SPACING), 3, number
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = pixels(number).tobytes()
    for key, value in tags.items():
        if value is None:
            delattr(ds, key)
        else:
            setattr(ds, key, value)
    ds.save_as(path, enforce_file_format=True)


def write_series(folder: Path, numbers: range | list[int], **tags: object) -> Path:
    """Write slices under names without extension, in an order that is not the order in space."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        write_slice(folder / f"IM{(number * 7) % 100:03d}", number, **tags)  # type: ignore[arg-type]
    return folder


def write_enhanced(path: Path, numbers: list[int], edit: Callable[[Dataset], object] = lambda ds: None) -> None:
    """Write frames as `write_slice` writes slices; `edit` changes the data set before it is saved."""
    ds = dataset(ENHANCED_CT, "1.2.826.0.1.7")
    pixel_tags(ds)
    ds.NumberOfFrames = len(numbers)
    measures, plane, values, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), 3
    plane.ImageOrientationPatient = list(AXIAL)
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([values])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number in numbers:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [10, 20, 30 + STEP * number]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.PixelData = np.stack([pixels(n) for n in numbers]).tobytes()
    edit(ds)
    ds.save_as(path, enforce_file_format=True)
