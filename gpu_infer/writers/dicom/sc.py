"""Secondary captures: a picture of every slice with the labels in colour, which viewers without SEG show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from gpu_infer._version import __version__
from gpu_infer.label_table.palette import Rgb
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.dicom.document import MANUFACTURER, Algorithm, new_uid
from gpu_infer.writers.dicom.source import Source

OPACITY = 0.35
"""Part of a label's colour inside its outline, which is opaque."""

_SAMPLES = 200_000
_PERCENTILES = (1.0, 99.0)

Picture = NDArray[np.uint8]


def make_captures(
    volume: Volume,
    voxels: Voxels,
    colours: Mapping[int, Rgb],
    source: Source,
    algorithm: Algorithm,
    series_number: int,
) -> Iterator[Dataset]:
    """One single-frame RGB Secondary Capture per slice, in ascending order along the normal.

    Args:
        volume: its first channel is shown.
        voxels: labels [I, J, K] on its grid.
        colours: of every label in `voxels` but 0.
        source: the series on whose slices the labels are.
        algorithm: the model.
        series_number: of the new series.
    """
    limits, series = window(volume, source), new_uid()
    table = np.zeros((max(colours, default=0) + 1, 3), np.float32)
    for label, colour in colours.items():
        table[label] = colour
    images, labels = source.slices(volume.data[0]), source.slices(voxels)
    now = datetime.now()
    for k, (stored, plane) in enumerate(zip(images, labels, strict=True)):
        grey = stored.astype(np.float32) * np.float32(volume.slope) + np.float32(volume.inter)
        capture = _head(source, k, algorithm, now)
        capture.SeriesInstanceUID, capture.SeriesNumber = series, series_number
        picture = draw(grey, plane, table, limits)
        data = picture.tobytes()
        capture.PixelData = data + b"\0" * (len(data) % 2)
        yield capture


def draw(
    values: NDArray[np.float32], labels: Voxels, colours: NDArray[np.float32], limits: tuple[float, float]
) -> Picture:
    """RGB [row, column, 3] of one slice: the values between black and white, and the labels in colour.

    Args:
        values: [row, column] in physical units.
        labels: [row, column].
        colours: [label, 3], 0 to 255.
        limits: the values that become black and white.
    """
    black, white = limits
    grey = np.nan_to_num((values - black) * (255.0 / (white - black)), nan=0.0).clip(0.0, 255.0)
    picture = np.repeat(grey[..., None], 3, axis=2)
    inside = labels != 0
    if inside.any():
        colour = colours[labels[inside]]
        opacity = np.where(_is_outline(labels)[inside], 1.0, OPACITY).astype(np.float32)[:, None]
        picture[inside] += (colour - picture[inside]) * opacity
    drawn: Picture = np.rint(picture).astype(np.uint8)
    return drawn


def window(volume: Volume, source: Source) -> tuple[float, float]:
    """Black and white: the first window of the series, if the volume is the series itself, else percentiles."""
    if volume.format == "dicom":
        try:
            centre, width = (float(np.ravel(source.first[word].value)[0]) for word in ("WindowCenter", "WindowWidth"))
        except (KeyError, TypeError, ValueError, IndexError):
            width = 0.0
        if width > 1 and np.isfinite([centre, width]).all():
            return centre - width / 2, centre + width / 2
    step = max(round((volume.data[0].size / _SAMPLES) ** (1 / 3)), 1)
    samples = volume.data[0][::step, ::step, ::step].astype(np.float64)
    low, high = np.percentile(samples[np.isfinite(samples)], _PERCENTILES) if np.isfinite(samples).any() else (0, 1)
    ends = sorted(float(v) * volume.slope + volume.inter for v in (low, high))
    return ends[0], max(ends[1], ends[0] + 1.0)


def _is_outline(labels: Voxels) -> NDArray[np.bool_]:
    """Whether a pixel has a neighbour in its row or column with another label."""
    outline = np.zeros(labels.shape, bool)
    for ours, theirs in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        different = labels[ours] != labels[theirs]
        outline[ours] |= different
        outline[theirs] |= different
    return outline


def _head(source: Source, k: int, algorithm: Algorithm, now: datetime) -> Dataset:
    frame = source.frames[k]
    image = source.datasets[frame.dataset]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, new_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    capture = Dataset()
    capture.file_meta = meta
    capture.SOPClassUID, capture.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    capture.InstanceCreationDate = capture.ContentDate = capture.SeriesDate = f"{now:%Y%m%d}"
    capture.InstanceCreationTime = capture.ContentTime = capture.SeriesTime = f"{now:%H%M%S}"
    capture.Modality, capture.ConversionType = "OT", "WSD"
    capture.SeriesDescription = algorithm.describe("overlay")
    capture.Manufacturer = capture.ManufacturerModelName = MANUFACTURER
    capture.SoftwareVersions = capture.SecondaryCaptureDeviceSoftwareVersions = __version__
    capture.SecondaryCaptureDeviceManufacturer = MANUFACTURER
    capture.InstanceNumber = k + 1
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.PatientOrientation = capture.Laterality = ""
    capture.BurnedInAnnotation = "NO"
    capture.DerivationDescription = "Labels in colour on the slices of the source"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    if source.is_multi_frame:
        reference.ReferencedFrameNumber = frame.number + 1
    capture.SourceImageSequence = Items([reference])
    # Position and size, so that viewers scroll it with the source and measure in mm.
    capture.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    capture.PositionReferenceIndicator = source.first.get("PositionReferenceIndicator", "")
    capture.ImagePositionPatient = [f"{v:.8g}" for v in frame.position]
    capture.ImageOrientationPatient = [f"{v:.10g}" for v in source.cosines.ravel()]
    capture.PixelSpacing = [f"{v:.10g}" for v in source.spacing]
    if (thickness := source.thickness(k)) is not None:
        capture.SliceThickness = f"{thickness:.8g}"
    columns, rows, _ = source.geometry.shape
    capture.Rows, capture.Columns, capture.SamplesPerPixel = rows, columns, 3
    capture.PhotometricInterpretation, capture.PlanarConfiguration = "RGB", 0
    capture.BitsAllocated, capture.BitsStored, capture.HighBit, capture.PixelRepresentation = 8, 8, 7, 0
    return capture
