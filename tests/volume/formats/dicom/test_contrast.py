"""Series whose positions are an even grid, but whose slices belong to several volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import hounsfield, refused, write_series, write_slice

from gpu_infer.volume.read import read_volume


def write_alternating(folder: Path, count: int, keyword: str, *values: object, **tags: object) -> Path:
    """Slices 0, 1, 2, … whose `keyword` takes the values in turn; None: the slice has none."""
    folder.mkdir()
    for number in range(count):
        value = values[number % len(values)]
        tag = {} if value is None else {keyword: value}
        write_slice(folder / f"IM{number:03d}", number, **tags, **tag)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoNumbers", (1, 2)),
        ("EchoTime", (2.46, 4.92)),
        ("InversionTime", (100, 350)),
        ("FlipAngle", (3, 15)),
        ("TemporalPositionIdentifier", (1, 2, 3)),
        ("TriggerTime", (0, 400)),
        ("NominalPercentageOfCardiacPhase", (40.0, 75.0)),
        ("DiffusionBValue", (0.0, 1000.0)),
        ("DiffusionBValue", (None, 1000.0)),
        ("DiffusionGradientOrientation", ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])),
        ("KVP", (80, 140)),
        ("ConvolutionKernel", ("B30f", "B70f")),
        ("ComplexImageComponent", ("MAGNITUDE", "PHASE")),
    ],
)
def test_interleaved_volumes(tmp_path: Path, keyword: str, values: tuple[object, ...]) -> None:
    folder = write_alternating(tmp_path / "scan", 6, keyword, *values)
    line = refused(folder, f"several volumes in one series: {keyword} has {len(values)} values")
    assert "between IM000 and IM001, expected one" in line


def test_echo_times_that_are_no_numbers(tmp_path: Path) -> None:
    folder = write_alternating(tmp_path / "scan", 4, "EchoTime", "2.46")
    for number in (1, 3):
        path = folder / f"IM{number:03d}"
        path.write_bytes(path.read_bytes().replace(b"2.46", b"long"))
    refused(folder, "several volumes in one series: EchoTime has 2 values")


def test_magnitude_and_phase_of_one_series(tmp_path: Path) -> None:
    types = (["ORIGINAL", "PRIMARY", "M", "FFE"], ["ORIGINAL", "PRIMARY", "P", "FFE"])
    folder = write_alternating(tmp_path / "scan", 6, "ImageType", *types, Modality="MR")
    refused(folder, "several volumes in one series: ImageType has 2 values")


def test_two_slices_of_two_echoes(tmp_path: Path) -> None:
    refused(write_alternating(tmp_path / "scan", 2, "EchoNumbers", 1, 2), "several volumes in one series: EchoNumbers")


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", ("2.46", "2.4600", "2.4603")),
        ("ImageType", (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL"])),
        ("TriggerTime", (0, 10, 20, 30, 40, 50)),
        ("TriggerTime", (0, 10, 20, 20, 40, 50)),
        ("AcquisitionNumber", (1, 2)),
    ],
)
def test_what_differs_within_one_volume(tmp_path: Path, keyword: str, values: tuple[object, ...]) -> None:
    folder = write_alternating(tmp_path / "scan", 6, keyword, *values)
    np.testing.assert_array_equal(read_volume(folder).data, hounsfield(range(6)))


def test_one_volume_with_every_tag(tmp_path: Path) -> None:
    folder = write_series(
        tmp_path / "scan", range(4), EchoNumbers=1, EchoTime=2.46, KVP=120, DiffusionBValue=0.0, Modality="MR"
    )
    np.testing.assert_array_equal(read_volume(folder).data, hounsfield(range(4)))
