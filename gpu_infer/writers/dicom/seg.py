"""DICOM Segmentation: the labels as segments that refer to every image of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from gpu_infer.choices import MOST_BINARY
from gpu_infer.errors import InputError
from gpu_infer.label_table.table import Label
from gpu_infer.system.silence import silence
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.formats.dicom.file import quiet
from gpu_infer.writers.dicom.codes import category_of, concept, type_of
from gpu_infer.writers.dicom.document import Algorithm, equipment, new_uid
from gpu_infer.writers.dicom.source import Source

Kind = Literal["binary", "labelmap"]

LARGEST_LABEL = 65535


@dataclass(frozen=True)
class Segment:
    """A label in a SEG: its number there, and the UID by which other files follow it."""

    label: Label
    number: int
    tracking_uid: UID


def kind_of(kind: str, labels: int) -> Kind:
    """The kind for "auto", "binary" or "labelmap" and a number of labels."""
    if kind == "auto":
        return "binary" if labels <= MOST_BINARY else "labelmap"
    return "binary" if kind == "binary" else "labelmap"


def make_segments(labels: Sequence[Label], kind: Kind) -> list[Segment]:
    """The segments for labels in ascending order: of BINARY they count from 1, of LABELMAP they are the labels."""
    numbers = range(1, len(labels) + 1) if kind == "binary" else [label.value for label in labels]
    return [Segment(label, number, new_uid()) for label, number in zip(labels, numbers, strict=True)]


def make_seg(
    voxels: Voxels, segments: Sequence[Segment], kind: Kind, source: Source, algorithm: Algorithm, series_number: int
) -> Dataset:
    """The Segmentation of a label map.

    Args:
        voxels: labels [I, J, K] on the volume's grid.
        segments: of all labels in `voxels` but 0.
        kind: BINARY has a frame of one bit per voxel for each segment and slice; LABELMAP has one frame per slice with
            RLE.
        source: the series on whose slices the labels are.
        algorithm: the model.
        series_number: of the new series.

    Raises:
        InputError: the headers of the source do not allow it, or a label is too large.
    """
    from highdicom.seg import Segmentation

    if segments[-1].label.value > LARGEST_LABEL:
        raise InputError(
            f"label {segments[-1].label.value}: expected at most {LARGEST_LABEL} in a DICOM SEG",
            remedy="leave --dicom-seg out",
        )
    planes = source.planes(voxels)
    planes = _renumber(planes, segments) if kind == "binary" else _unsigned(planes)
    try:
        with quiet(), silence("highdicom"):
            seg: Dataset = Segmentation(
                source_images=list(source.datasets),
                pixel_array=planes,
                segmentation_type=kind.upper(),
                segment_descriptions=[_describe(segment, algorithm) for segment in segments],
                series_instance_uid=new_uid(),
                series_number=series_number,
                sop_instance_uid=new_uid(),
                instance_number=1,
                transfer_syntax_uid=ExplicitVRLittleEndian if kind == "binary" else RLELossless,
                series_description=algorithm.describe("segmentation"),
                **equipment(),
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the message may quote values of the header
        raise InputError(
            f"{source.folder}: no DICOM SEG can refer to these headers ({type(error).__name__})",
            remedy="export the series again with its headers, or leave --dicom-seg out",
        ) from error
    return seg


def _renumber(planes: Voxels, segments: Sequence[Segment]) -> Voxels:
    """Segment numbers instead of labels, as uint8 if they fit."""
    table = np.zeros(segments[-1].label.value + 1, np.min_scalar_type(len(segments)))
    for segment in segments:
        table[segment.label.value] = segment.number
    renumbered: Voxels = table[planes]
    return renumbered


def _unsigned(planes: Voxels) -> Voxels:
    if planes.dtype in (np.uint8, np.uint16):
        return planes
    return planes.astype(np.min_scalar_type(int(planes.max())))


def _describe(segment: Segment, algorithm: Algorithm) -> Any:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    label = segment.label
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=label.name.replace("\\", "/"),
        segmented_property_category=concept(category_of(label)),
        segmented_property_type=concept(type_of(label)),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm.identification(),
        tracking_uid=segment.tracking_uid,
        tracking_id=f"label {label.value}",
        display_color=CIELabColor.from_rgb(*label.colour),
    )
    if label.modifier is not None:
        item = description.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = [concept(label.modifier)]
    return description
