"""A CT series of any size and orientation with a patient, and the DICOM outputs of labels on it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dicom_series import dataset
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from gpu_infer.label_table.table import Code, Label
from gpu_infer.volume.geometry import Orientation
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.dicom.document import Algorithm
from gpu_infer.writers.dicom.series_files import LabelMap, write_files
from gpu_infer.writers.dicom.source import Source, read_source

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
STUDY, SERIES, FRAME = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
SPACING, STEP, ORIGIN = (0.75, 0.5), 1.25, np.array([-31.5, 12.25, 100.0])

_TURN = np.deg2rad(20.0), np.deg2rad(-35.0)
OBLIQUE = (
    *(float(np.cos(_TURN[0])), float(np.sin(_TURN[0])), 0.0),
    *(float(-np.sin(_TURN[0]) * np.cos(_TURN[1])), float(np.cos(_TURN[0]) * np.cos(_TURN[1])), float(np.sin(_TURN[1]))),
)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

LUNG = Label(
    1,
    "right lung",
    (255, 159, 28),
    Code("123037004", "SCT", "Anatomical Structure"),
    Code("39607008", "SCT", "Lung"),
    Code("24028007", "SCT", "Right"),
)
PLAIN = Label(5, "label 5", (86, 197, 244))
ALGORITHM = Algorithm("segmentation_ct_lung", "3")


def position(
    cosines: tuple[float, ...], k: int, origin: NDArray[np.float64] = ORIGIN, step: float = STEP
) -> NDArray[np.float64]:
    return origin + step * k * np.cross(cosines[:3], cosines[3:])


def values(shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """HU of the slices [slice, row, column]."""
    columns, rows, slices = shape
    return np.random.default_rng(4).integers(-1000, 1000, (slices, rows, columns)).astype(np.int16)


def _patient(ds: Dataset) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Müller^Zoë", "MARKED-ID-77", "19500102", "F"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, SERIES, FRAME
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20250203", "101112", "S1", "ACC9"
    ds.ReferringPhysicianName, ds.StudyDescription, ds.PatientAge = "Weiß", "Thorax", "075Y"
    ds.PositionReferenceIndicator = ""


def _pixels(ds: Dataset, shape: tuple[int, int, int], data: NDArray[np.int16]) -> None:
    ds.Columns, ds.Rows = shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelData = data.tobytes()


def write_study(
    folder: Path,
    shape: tuple[int, int, int],
    cosines: tuple[float, ...] = OBLIQUE,
    origin: NDArray[np.float64] = ORIGIN,
    step: float = STEP,
    places: NDArray[np.float64] | None = None,
    **tags: Any,
) -> Path:
    """Write a classic series of `shape` (columns, rows, slices); names are not in the order of the slices.

    places  first voxel of every slice, [slice, 3] in LPS+ mm; None: `step` mm apart along the normal
    tags    of every slice; None removes one
    """
    folder.mkdir(parents=True, exist_ok=True)
    for k, data in enumerate(values(shape)):
        ds = dataset(CT, SERIES)
        _patient(ds)
        _pixels(ds, shape, data)
        place = position(cosines, k, origin, step) if places is None else places[k]
        ds.ImagePositionPatient = [f"{v:.10g}" for v in place]
        ds.ImageOrientationPatient = [f"{v:.10g}" for v in cosines]
        ds.PixelSpacing, ds.SliceThickness, ds.InstanceNumber = list(SPACING), STEP, k + 1
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
        ds.WindowCenter, ds.WindowWidth, ds.ImageType = 40, 400, ["ORIGINAL", "PRIMARY", "AXIAL"]
        for keyword, value in tags.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        ds.save_as(folder / f"CT{(k * 7 + 3) % 1000:03d}.dcm", enforce_file_format=True)
    return folder


def write_enhanced_study(
    folder: Path, shape: tuple[int, int, int], order: list[int], places: NDArray[np.float64] | None = None
) -> Path:
    """Write one enhanced file whose n-th frame is slice `order[n]`; `places` as of `write_study`."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = dataset(ENHANCED_CT, SERIES)
    _patient(ds)
    _pixels(ds, shape, values(shape)[order])
    ds.NumberOfFrames, ds.InstanceNumber = len(order), 1
    measures, plane, transformation, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), STEP
    plane.ImageOrientationPatient = [f"{v:.10g}" for v in OBLIQUE]
    transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = 1, 0, "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([transformation])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    organization, dimension = Dataset(), Dataset()
    organization.DimensionOrganizationUID = dimension.DimensionOrganizationUID = generate_uid()
    dimension.DimensionIndexPointer, dimension.FunctionalGroupPointer = 0x00200032, 0x00209113
    ds.DimensionOrganizationSequence, ds.DimensionIndexSequence = Sequence([organization]), Sequence([dimension])
    frames = []
    for k in order:
        frame, place, content = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [f"{v:.10g}" for v in (position(OBLIQUE, k) if places is None else places[k])]
        content.DimensionIndexValues = [k + 1]
        frame.PlanePositionSequence, frame.FrameContentSequence = Sequence([place]), Sequence([content])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.save_as(folder / "enhanced.dcm", enforce_file_format=True)
    return folder


def blobs(shape: tuple[int, int, int], labels: list[int], seed: int = 0) -> NDArray[np.uint8]:
    """Random labels [I, J, K] with holes, islands and pixels that touch at corners; slice 0 is empty."""
    draw = np.random.default_rng(seed)
    coarse = draw.choice([0, 0, *labels], [-(-n // 3) for n in shape])
    fine = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[: shape[0], : shape[1], : shape[2]]
    noisy = np.where(draw.random(shape) < 0.1, draw.choice([0, *labels], shape), fine).astype(np.uint8)
    noisy[:, :, 0] = 0
    return noisy


@dataclass
class Kinds:
    """The wanted files."""

    output: Path
    dicom_seg: str | None = None
    dicom_sc: bool = False
    dicom_sr: bool = False
    rtstruct: bool = False


def irregular_places(kind: str, slices: int, cosines: tuple[float, ...] = OBLIQUE) -> NDArray[np.float64]:
    """Places [slice, 3] in LPS+ mm: "tilted" by 18° along the columns, "gap" after slice 4, or "uneven" distances."""
    normal, steps = np.cross(cosines[:3], cosines[3:]), np.arange(slices) * STEP
    if kind == "tilted":
        direction = normal + np.tan(np.deg2rad(18.0)) * np.array(cosines[3:])
        return ORIGIN + steps[:, None] * direction
    if kind == "gap":
        steps[5:] += STEP
    else:
        steps += np.random.default_rng(2).uniform(-0.4, 0.4, slices)
    return ORIGIN + steps[:, None] * normal


def source_of(folder: Path) -> tuple[Volume, Source]:
    volume = read_volume(folder)
    return volume, read_source(volume.files, volume.geometry, folder, Orientation.identity())


def label_map_of(voxels: NDArray[Any], volume: Volume, labels: list[Label], name: str = "case") -> LabelMap:
    voxel_ml = abs(float(np.linalg.det(volume.geometry.affine[:3, :3]))) / 1000
    volumes = {label.value: round(int((voxels == label.value).sum()) * voxel_ml, 3) for label in labels}
    return LabelMap(name, voxels, labels, volumes)


def write(folder: Path, voxels: NDArray[Any], labels: list[Label], output: Path, **kinds: Any) -> dict[str, Path]:
    """Write the outputs of labels on the series in `folder`; by kind, of the secondary captures the folder."""
    output.mkdir(exist_ok=True)
    volume, source = source_of(folder)
    label_map = label_map_of(voxels, volume, labels)
    files = write_files(label_map, volume, source, ALGORITHM, Kinds(output, **kinds), 0)
    return {
        path.name.split(".")[1] if path.parent == output else "sc": path if path.parent == output else path.parent
        for path in files
    }


def complaints(path: Path) -> list[str]:
    """Lines in which dciodvfy reports an error."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="utf-8", errors="replace", check=False)
    return [line for line in done.stderr.splitlines() if line.startswith("Error") or "rror -" in line]


HAS_DCIODVFY = shutil.which("dciodvfy") is not None
