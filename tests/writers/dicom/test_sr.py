"""The SR of a SEG has a group with a volume for each segment."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicom_source import LUNG, PLAIN, SERIES, SPACING, STEP, blobs, write, write_study
from pydicom import dcmread

SHAPE = (24, 20, 12)


@pytest.mark.parametrize("labels", [[LUNG], [LUNG, PLAIN]])
def test_volumes_are_voxels_times_their_size(tmp_path: Path, labels: list) -> None:  # type: ignore[type-arg]
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [label.value for label in labels])
    files = write(series, voxels, labels, tmp_path / "out", dicom_seg="binary", dicom_sr=True)
    sr, seg = hd.sr.srread(files["sr"]), dcmread(files["seg"])
    groups = sr.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(labels)
    for group, label, segment in zip(groups, labels, seg.SegmentSequence, strict=True):
        (measurement,) = group.get_measurements()
        voxel_ml = SPACING[0] * SPACING[1] * STEP / 1000
        assert measurement.value == pytest.approx(np.count_nonzero(voxels == label.value) * voxel_ml, abs=5e-4)
        assert (measurement.unit.value, measurement.name.value) == ("ml", "118565006")
        assert group.tracking_uid == segment.TrackingUID
        assert group.tracking_identifier == label.name
        reference = group.referenced_segment
        assert reference.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert list(reference[0].referenced_segment_numbers) == [segment.SegmentNumber]


def test_evidence_is_every_image_and_the_seg(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1])
    files = write(series, voxels, [LUNG], tmp_path / "out", dicom_seg="labelmap", dicom_sr=True)
    sr, seg = dcmread(files["sr"]), dcmread(files["seg"])
    sequences = (sr.get("CurrentRequestedProcedureEvidenceSequence", []), sr.get("PertinentOtherEvidenceSequence", []))
    uids = {
        image.ReferencedSOPInstanceUID
        for sequence in sequences
        for study in sequence
        for one in study.ReferencedSeriesSequence
        for image in one.ReferencedSOPSequence
    }
    images = {dcmread(file).SOPInstanceUID for file in series.iterdir()}
    assert uids == images | {seg.SOPInstanceUID}
    assert sr.SeriesInstanceUID != SERIES
    assert str(sr.PatientName) == "Müller^Zoë"
