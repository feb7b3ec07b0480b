"""RT Structure Set: the outlines of the labels in each slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from gpu_infer._version import __version__
from gpu_infer.label_table.table import Code, Label
from gpu_infer.volume.checks import Voxels
from gpu_infer.writers.dicom.codes import category_of, type_of
from gpu_infer.writers.dicom.contours import Polygon, trace
from gpu_infer.writers.dicom.document import MANUFACTURER, Algorithm, new_uid
from gpu_infer.writers.dicom.source import Source

_DECIMALS = 4
"""Digits of a coordinate in mm after the point: 0.1 µm, and at most 16 characters up to 10 km."""

_CONTOUR_DATA = Tag("ContourData")
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, the class that the standard's references name


def make_rtstruct(
    voxels: Voxels, labels: Sequence[Label], source: Source, algorithm: Algorithm, series_number: int
) -> Dataset:
    """The structure set of a label map, with one region of interest for each label.

    Args:
        voxels: labels [I, J, K] on the volume's grid.
        labels: those in `voxels` but 0.
        source: the series on whose slices the labels are.
        algorithm: the model.
        series_number: of the new series.
    """
    structures = _head(source, algorithm, series_number)
    contours: dict[int, list[Dataset]] = {label.value: [] for label in labels}
    for k, plane in enumerate(source.slices(voxels)):
        for value in np.flatnonzero(np.bincount(plane.ravel())).tolist():
            if value in contours:
                contours[value] += _contours(trace(plane == value), source, k)
    structures.StructureSetROISequence = Items([_region(n, label, source) for n, label in enumerate(labels, 1)])
    structures.ROIContourSequence = Items(
        [_outline(n, label, contours[label.value]) for n, label in enumerate(labels, 1)]
    )
    structures.RTROIObservationsSequence = Items([_observation(n, label) for n, label in enumerate(labels, 1)])
    return structures


def _head(source: Source, algorithm: Algorithm, series_number: int) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, new_uid()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian  # explicit VR has 64 KiB for a contour, too little for keyholes
    dataset, now = Dataset(), datetime.now()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    dataset.InstanceCreationDate = dataset.StructureSetDate = f"{now:%Y%m%d}"
    dataset.InstanceCreationTime = dataset.StructureSetTime = f"{now:%H%M%S}"
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = "RTSTRUCT", new_uid(), series_number
    dataset.SeriesDescription, dataset.OperatorsName = algorithm.describe("contours"), ""
    dataset.Manufacturer = dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = __version__
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = "gpu_infer"
    dataset.StructureSetName = algorithm.describe("contours")
    dataset.StructureSetDescription = f"{algorithm.name} version {algorithm.version}"[:1024]
    dataset.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = source.first.get("PositionReferenceIndicator", "")
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = Items([_frame_of_reference(source)])
    return dataset


def _frame_of_reference(source: Source) -> Dataset:
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.first.SeriesInstanceUID
    series.ContourImageSequence = Items([_image(dataset) for dataset in source.datasets])
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _STUDY_CLASS, source.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = Items([series])
    frame.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = Items([study])
    return frame


def _image(dataset: Dataset, frame: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def _region(number: int, label: Label, source: Source) -> Dataset:
    region = Dataset()
    region.ROINumber = number
    region.ReferencedFrameOfReferenceUID = source.first.FrameOfReferenceUID
    region.ROIName = label.name.replace("\\", "/")
    region.ROIGenerationAlgorithm = "AUTOMATIC"
    return region


def _outline(number: int, label: Label, contours: list[Dataset]) -> Dataset:
    outline = Dataset()
    outline.ROIDisplayColor = list(label.colour)
    if contours:
        outline.ContourSequence = Items(contours)
    outline.ReferencedROINumber = number
    return outline


def _contours(polygons: Sequence[Polygon], source: Source, k: int) -> Iterator[Dataset]:
    """The contours of one label in slice `k`."""
    frame = source.frames[k]
    image = source.datasets[frame.dataset]
    steps = np.array([source.cosines[1] * source.spacing[0], source.cosines[0] * source.spacing[1]])
    reference = _image(image, frame.number + 1 if source.is_multi_frame else None)
    for polygon in polygons:
        points = polygon @ steps + np.array(frame.position)
        contour = Dataset()
        contour.ContourImageSequence = Items([reference])
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(points)
        contour[_CONTOUR_DATA] = _decimals(points.ravel())
        contour.set_original_encoding(True, True, "iso8859")  # as it is written, so that pydicom does not decode it
        yield contour


def _decimals(numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> RawDataElement:
    """ContourData as it is in the file: pydicom would make an object of a hundred bytes for each number."""
    rounded = np.round(numbers, _DECIMALS) + 0.0  # no −0
    text = "\\".join([f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".") for value in rounded.tolist()]).encode("ascii")
    padded = text + b" " * (len(text) % 2)
    return RawDataElement(_CONTOUR_DATA, "DS", len(padded), padded, 0, True, True)


def _observation(number: int, label: Label) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = ""
    observation.ROIInterpreter = ""
    observation.RTROIIdentificationCodeSequence = Items([_code(type_of(label), label.modifier)])
    observation.ROIObservationLabel = label.name.replace("\\", "/")[:16]
    observation.SegmentedPropertyCategoryCodeSequence = Items([_code(category_of(label))])
    return observation


def _code(code: Code, modifier: Code | None = None) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    if modifier is not None:
        item.SegmentedPropertyTypeModifierCodeSequence = Items([_code(modifier)])
    return item
