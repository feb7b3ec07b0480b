"""The operator on a DICOM series, with all DICOM outputs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_source import write_study
from operator_helpers import config, operate
from pydicom import dcmread

SHAPE = (24, 20, 12)
MARKED = ("Müller", "MARKED", "19500102", "1.2.826.0.1.3680043.8.498")

pytestmark = pytest.mark.slow


def test_a_series_becomes_dicom_and_nothing_else_names_the_patient(
    tmp_path: Path, triton_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_study(tmp_path / "input" / "series", SHAPE)
    content = config("classes5", roi_size=[12, 10, 8])
    content["labels"] = {"1": {"name": "one", "type": ["39607008", "SCT", "Lung"]}}
    options = {"dicom_seg": "auto", "dicom_sr": True, "dicom_sc": True, "rtstruct": True}
    with caplog.at_level(logging.DEBUG):
        result = operate(tmp_path, triton_server, content, device="cpu", publish=tmp_path / "publish", **options)
    assert not any(marked in caplog.text for marked in MARKED)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(result.output)))
    assert labels.any()
    seg = hd.seg.segread(result.dicom[0])
    images = sorted((dcmread(path) for path in (tmp_path / "input/series").iterdir()), key=lambda i: i.InstanceNumber)
    read = seg.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], combine_segments=True, assert_missing_frames_are_empty=True
    )
    present = [int(value) for value in np.unique(labels) if value]
    np.testing.assert_array_equal(np.array([0, *present])[read], labels)
    groups = hd.sr.srread(result.dicom[1]).content.get_volumetric_roi_measurement_groups()
    assert [group.get_measurements()[0].value for group in groups] == pytest.approx(
        [result.data["labels"][str(value)]["ml"] for value in present]
    )
    assert result.data["dicom"]["files"] == [str(path) for path in result.dicom]
    assert str(dcmread(result.dicom[2]).PatientName) == "Müller^Zoë"
    texts = [path for path in tmp_path.rglob("*") if path.suffix in (".json", ".mhd", ".meta")]
    assert {"report.json", "config.meta"} <= {path.name for path in texts}
    for path in texts:
        assert not any(marked in path.read_text(encoding="utf-8") for marked in MARKED), path
    assert not any(marked in json.dumps(result.data) for marked in MARKED)
