"""The series to which DICOM outputs belong: its patient, study and frame of reference, and the plane of every slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from gpu_infer.errors import GpuInferError, InputError
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.formats.dicom.file import printable, quiet
from gpu_infer.volume.geometry import Geometry, Orientation
from gpu_infer.volume.index_space import IndexSpace

EMPTY_IF_MISSING = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
"""Elements that every DICOM file has, but that may be empty."""

IDENTITY = (
    *EMPTY_IF_MISSING,
    *("IssuerOfPatientID", "PatientBirthTime", "OtherPatientIDs", "OtherPatientIDsSequence"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyInstanceUID", "StudyDescription", "IssuerOfAccessionNumberSequence"),
    *("PatientAge", "PatientSize", "PatientWeight"),
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
    *("ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription"),
)
"""Elements of the patient and the study, which every output has from the source."""

_PER_FRAME = "PerFrameFunctionalGroupsSequence"
_PLANE = (
    *("Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("NumberOfFrames", "SharedFunctionalGroupsSequence", _PER_FRAME),
    *("DimensionOrganizationSequence", "DimensionIndexSequence", "DimensionOrganizationType"),
)
_OTHERS = ("Modality", "InstanceNumber", "PositionReferenceIndicator", "WindowCenter", "WindowWidth", "ImageType")
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")

_PLACE_MM = 0.1
"""Largest distance of a slice from its place on the grid, in addition to a hundredth of the slice distance: positions
are often written with one decimal."""

_EXPORT = "export the series again with its headers"


class Frame(NamedTuple):
    """The image of one slice.

    dataset   index of its data set
    number    its index among the frames of the file, from 0
    position  of its first voxel in LPS+ mm
    """

    dataset: int
    number: int
    position: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Source:
    """A series without its pixels.

    folder       of the series, for messages
    geometry     of its slices: shape (columns, rows, slices); in index space of the stacked slices
    datasets     one per slice in ascending order along the normal, or one file with all frames; without identity
    frames       of the slices in ascending order along the normal
    identity     the elements of `IDENTITY`, in UTF-8
    orientation  view of the volume's grid that is the grid of the series
    index_space  set if the slices are no regular grid
    """

    folder: Path
    geometry: Geometry
    datasets: tuple[Dataset, ...]
    frames: tuple[Frame, ...]
    identity: Dataset
    orientation: Orientation
    index_space: IndexSpace | None = None

    @property
    def is_multi_frame(self) -> bool:
        return _PER_FRAME in self.datasets[0]

    @property
    def first(self) -> Dataset:
        return self.datasets[0]

    @property
    def cosines(self) -> NDArray[np.float64]:
        """Directions of growing column and growing row, [2, 3] in LPS+."""
        _, _, direction = self.geometry.to_itk()
        return np.array(direction).reshape(3, 3).T[:2]

    @property
    def spacing(self) -> tuple[float, float]:
        """Distance of rows and of columns in mm, as in PixelSpacing."""
        return self.geometry.spacing[1], self.geometry.spacing[0]

    def thickness(self, k: int) -> float | None:
        """Thickness of slice k in mm: the distance of slices; in index space that of its header, if it has one."""
        if self.index_space is None:
            return self.geometry.spacing[2]
        frame = self.frames[k]
        try:
            return float(_measures(self.datasets[frame.dataset], frame.number).SliceThickness)
        except (AttributeError, TypeError, ValueError, IndexError):
            return None

    def slices(self, voxels: Voxels) -> Voxels:
        """View of the volume's voxels [I, J, K] as slices [slice, row, column] in ascending order."""
        return self.orientation.view(voxels).transpose(2, 1, 0)

    def planes(self, voxels: Voxels) -> Voxels:
        """`slices`, in the order of `datasets`, or of the frames if there is one file."""
        slices = self.slices(voxels)
        numbers = [frame.number for frame in self.frames]
        if not self.is_multi_frame or numbers == list(range(len(numbers))):
            return slices
        planes: Voxels = slices[np.argsort(numbers)]
        return planes

    def identify(self, output: Dataset) -> None:
        """Give patient and study of the source to `output`."""
        output.SpecificCharacterSet = "ISO_IR 192"
        for element in self.identity:
            output[element.tag] = element


def read_source(
    files: Sequence[Path],
    geometry: Geometry,
    folder: Path,
    orientation: Orientation,
    *,
    index_space: IndexSpace | None = None,
) -> Source:
    """Read the headers of the series of slices on the grid `geometry`.

    Args:
        files: of the slices in any order, or one file with all frames.
        geometry: shape (columns, rows, slices), and an affine whose third axis is the normal of the slices.
        folder: begins error lines.
        orientation: view of the volume's grid that is the grid of the series.
        index_space: the places of the slices, if they are no regular grid.

    Raises:
        InputError: an element is missing that the outputs need, or the slices are not those of the grid. No message has
            a value of a header.
    """
    with quiet():
        headers = [(path, _read(path)) for path in files]
        places = sorted(_locate(headers, _places(geometry, index_space), geometry.spacing[2], folder))
    slices = [k for k, *_ in places]
    if slices != list(range(geometry.shape[2])):
        raise InputError(
            f"{folder}: {len(set(slices))} slices at their places, expected {geometry.shape[2]}",
            remedy="leave the series alone while a run reads it",
        )
    order = list(dict.fromkeys(index for _, index, _, _ in places))
    frames = tuple(Frame(order.index(index), n, p) for _, index, n, p in places)
    with quiet():
        identity = _identity(headers[order[0]][1])
    datasets = tuple(_neutral(headers[n][1]) for n in order)
    return Source(folder, geometry, datasets, frames, identity, orientation, index_space)


def _read(path: Path) -> Dataset:
    try:
        dataset = dcmread(
            path, force=True, stop_before_pixels=True, specific_tags=[*IDENTITY, *_PLANE, *_OTHERS, *_UIDS]
        )
        dataset.decode()
        missing = [word for word in _UIDS if not str(dataset.get(word) or "").strip()]
    except (GpuInferError, MemoryError):
        raise
    except Exception:  # pydicom raises many types for damaged bytes, and may quote them
        raise InputError(f"{path}: damaged DICOM header", remedy=_EXPORT) from None
    if missing:
        raise InputError(
            f"{path}: no {missing[0]}, expected one for DICOM outputs that refer to the series", remedy=_EXPORT
        )
    return dataset


def _places(geometry: Geometry, index_space: IndexSpace | None) -> NDArray[np.float64]:
    """First voxel of every slice, [K, 3] in LPS+ mm."""
    if index_space is not None:
        return np.array(index_space.positions, np.float64)
    _, origin, _ = geometry.to_itk()
    step = geometry.affine[:3, 2] * (-1.0, -1.0, 1.0)
    places: NDArray[np.float64] = np.array(origin) + np.arange(geometry.shape[2])[:, None] * step
    return places


def _locate(
    headers: Sequence[tuple[Path, Dataset]], places: NDArray[np.float64], step_mm: float, folder: Path
) -> Iterator[tuple[int, int, int, tuple[float, ...]]]:
    """(slice, index of the file, frame in it, position) of every image: its slice is the nearest of `places`."""
    tolerance_mm = _PLACE_MM + 0.01 * step_mm
    for index, (path, dataset) in enumerate(headers):
        for number, position in enumerate(_positions(path, dataset)):
            distances = np.linalg.norm(places - position, axis=1)
            k = int(np.argmin(distances))
            if not distances[k] <= tolerance_mm:  # NaN neither
                raise InputError(
                    f"{folder}: {printable(path.name)} is {distances[k]:.3g} mm from its place on the grid",
                    remedy="leave the series alone while a run reads it",
                )
            yield k, index, number, position


def _positions(path: Path, dataset: Dataset) -> list[tuple[float, ...]]:
    try:
        if _PER_FRAME not in dataset:
            return [tuple(map(float, dataset.ImagePositionPatient))]
        shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
        groups = [group if "PlanePositionSequence" in group else shared[0] for group in dataset[_PER_FRAME].value]
        return [tuple(map(float, group.PlanePositionSequence[0].ImagePositionPatient)) for group in groups]
    except (AttributeError, TypeError, ValueError, IndexError):
        raise InputError(f"{path}: ImagePositionPatient is missing or damaged", remedy=_EXPORT) from None


def _measures(dataset: Dataset, number: int) -> Dataset:
    """The data set with the thickness of a frame."""
    if _PER_FRAME not in dataset:
        return dataset
    own = dataset[_PER_FRAME].value[number]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    measures: Dataset = (own if "PixelMeasuresSequence" in own else shared[0]).PixelMeasuresSequence[0]
    return measures


def _identity(dataset: Dataset) -> Dataset:
    identity = Dataset()
    for keyword in IDENTITY:
        if keyword in dataset:
            identity[keyword] = dataset[keyword]
        elif keyword in EMPTY_IF_MISSING:
            setattr(identity, keyword, "")
    return identity


def _neutral(dataset: Dataset) -> Dataset:
    """The data set without identity: libraries check such elements and quote them in errors."""
    for keyword in IDENTITY:
        if keyword in dataset and keyword != "StudyInstanceUID":
            del dataset[keyword]
    for keyword in EMPTY_IF_MISSING:
        setattr(dataset, keyword, "")
    if _PER_FRAME not in dataset and "NumberOfFrames" in dataset:  # 1, which libraries take for a multi-frame file
        del dataset.NumberOfFrames
    if "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    return dataset
