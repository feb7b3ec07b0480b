"""Structured report (TID 1500): the volume of every segment of a SEG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset

from gpu_infer.errors import InputError
from gpu_infer.label_table.table import Code
from gpu_infer.system.silence import silence
from gpu_infer.volume.formats.dicom.file import quiet
from gpu_infer.writers.dicom.codes import category_of, concept, type_of
from gpu_infer.writers.dicom.document import MANUFACTURER, Algorithm, equipment, new_uid
from gpu_infer.writers.dicom.seg import Segment
from gpu_infer.writers.dicom.source import Source

_VOLUME = Code("118565006", "SCT", "Volume")
_MILLILITRE = Code("ml", "UCUM", "milliliter")


def make_sr(
    seg: Dataset,
    segments: Sequence[Segment],
    volumes_ml: Mapping[int, float],
    source: Source,
    algorithm: Algorithm,
    series_number: int,
) -> Dataset:
    """The report on a Segmentation.

    Args:
        seg: with `segments`.
        segments: each has a group of measurements.
        volumes_ml: of the labels, in ml.
        source: the series on whose slices the labels are.
        algorithm: the model.
        series_number: of the new series.

    Raises:
        InputError: the headers of the source do not allow it.
    """
    from highdicom.sr import (
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    try:
        with quiet(), silence("highdicom"):
            device = DeviceObserverIdentifyingAttributes(
                uid=new_uid(), name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=algorithm.name[:64]
            )
            observer = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
            content = MeasurementReport(
                observation_context=ObservationContext(observer_device_context=observer),
                procedure_reported=codes.SCT.ImagingProcedure,
                imaging_measurements=[
                    _group(segment, seg, volumes_ml[segment.label.value], source, algorithm) for segment in segments
                ],
                title=codes.DCM.ImagingMeasurementReport,
            )
            report: Dataset = ComprehensiveSR(
                evidence=[*source.datasets, seg],
                content=content[0],
                series_instance_uid=new_uid(),
                series_number=series_number,
                sop_instance_uid=new_uid(),
                instance_number=1,
                is_complete=True,
                is_final=False,
                is_verified=False,
                series_description=algorithm.describe("volumes"),
                **equipment(),
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the message may quote values of the header
        raise InputError(
            f"{source.folder}: no DICOM SR can refer to these headers ({type(error).__name__})",
            remedy="export the series again with its headers, or leave --dicom-sr out",
        ) from error
    return report


def _group(segment: Segment, seg: Dataset, volume_ml: float, source: Source, algorithm: Algorithm) -> Any:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        Measurement,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    label = segment.label
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=segment.tracking_uid, identifier=label.name),
        # by hand: from_segmentation fails for a SEG with one segment
        referenced_segment=ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=segment.number,
            source_series=SourceSeriesForSegmentation(source.first.SeriesInstanceUID),
        ),
        finding_type=concept(type_of(label)),
        finding_category=concept(category_of(label)),
        finding_sites=None
        if label.modifier is None
        else [FindingSite(anatomic_location=concept(type_of(label)), laterality=concept(label.modifier))],
        algorithm_id=AlgorithmIdentification(name=algorithm.name, version=algorithm.version or "1"),
        measurements=[Measurement(name=concept(_VOLUME), value=volume_ml, unit=concept(_MILLILITRE))],
    )
