"""preview.png: an axial, a coronal and a sagittal plane with the outlines of the labels."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from gpu_infer.errors import ConfigError
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import open_stage, publish
from gpu_infer.writers.places import check_places, preview_place
from gpu_infer.writers.raster import Rgb, draw_letter, draw_plane
from gpu_infer.writers.recognise import PNG_MARK, PNG_SIGNATURE

# Black and white in HU, between a lung and a soft-tissue window: vessels in the lung and the chest wall both show.
CT_LIMITS = (-1200.0, 400.0)

_PANEL = 480  # pixels of the longest side of any plane
_GAP = 12
_MARGIN = 12  # from the panel's edge to a letter's centre
_BACKGROUND = 14
_SAMPLES = 200_000


@dataclass(frozen=True)
class _View:
    """A plane across canonical axis `across`; both axes shown run downwards, which is the radiological convention.

    With RAS+ axes, the patient's right is at the left of axial and coronal planes, anterior is on top of axial planes
    and at the left of sagittal planes, and superior is on top of the others. `letters`: left, right, top, bottom.
    """

    across: int
    letters: str


_VIEWS = (_View(2, "RLAP"), _View(1, "RLSI"), _View(0, "APSI"))


def write_preview(volume: Volume, labels: Voxels, path: Path) -> Path:
    """Write an RGB PNG of three planes side by side, in true proportions, and return its path.

    Planes go through the labels' centre of mass, or through the slice with the most labels if the centre shows less
    than half as many (between two lungs, for example); without labels through the middle. Of several channels the first
    one is shown. If the values look like CT, `CT_LIMITS` are black and white, else the 1st and the 99th percentile.

    Args:
        volume: its first channel is shown.
        labels: [I, J, K] integers on the volume's stored grid, 0 is background; each label has its own colour.
        path: ends in .png; an older preview is replaced.

    Raises:
        ConfigError: the name, the folder, or a file of another program in the place.
        ResourceError: the disk.
        ValueError: the labels have another shape than the volume.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"preview {path}: expected a name that ends in .png", remedy="give another name")
    if labels.shape != volume.geometry.shape:
        raise ValueError(f"labels of shape {labels.shape} for a grid of shape {volume.geometry.shape}")
    orientation = volume.geometry.orientation
    image = orientation.view(volume.data[0])
    mask = orientation.view(labels)
    spacing = volume.geometry.reoriented(orientation).spacing
    centre = _centre(mask)
    black, white = _limits(volume)
    scale = _PANEL / max(n * mm for n, mm in zip(image.shape, spacing, strict=True))
    panels = []
    for view in _VIEWS:
        shown = [axis for axis in range(3) if axis != view.across]
        columns, rows = (max(round(image.shape[axis] * spacing[axis] * scale), 1) for axis in shown)
        stored = _plane(image, view.across, centre)
        physical = stored.astype(np.float64) * volume.slope + volume.inter
        values = np.nan_to_num(physical, nan=black, posinf=white, neginf=black)
        grey = (values - black) * (255 / (white - black))
        panel = draw_plane(grey.astype(np.float32), _plane(mask, view.across, centre), (rows, columns))
        _annotate(panel, view.letters)
        panels.append(panel)
    _write_png(_side_by_side(panels), path)
    return path


def _plane(array: Voxels, across: int, centre: tuple[int, ...]) -> Voxels:
    """Return the plane through `centre` [rows, columns]; both axes run downwards."""
    plane: Voxels = array.take(centre[across], across).T[::-1, ::-1]
    return plane


def _centre(mask: Voxels) -> tuple[int, ...]:
    inside = mask != 0
    centre = []
    for axis, size in enumerate(mask.shape):
        counts = inside.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.int64)
        total = counts.sum()
        at = round(float((counts * np.arange(size)).sum() / total)) if total else size // 2
        centre.append(at if 2 * counts[at] >= counts.max() else int(counts.argmax()))
    return tuple(centre)


def _limits(volume: Volume) -> tuple[float, float]:
    """Return the values that become black and white, in physical units."""
    stored = volume.data[0]
    step = max(round((stored.size / _SAMPLES) ** (1 / 3)), 1)
    sample = stored[::step, ::step, ::step].astype(np.float64) * volume.slope + volume.inter
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    if sample.min() <= -900 and sample.max() >= 100:  # air and at least soft tissue with contrast or bone: HU
        return CT_LIMITS
    low, high = np.percentile(sample, (1, 99))
    return float(low), float(high if high > low else low + 1)


def _annotate(panel: Rgb, letters: str) -> None:
    rows, columns, _ = panel.shape
    places = (
        (rows // 2, _MARGIN),
        (rows // 2, columns - _MARGIN),
        (_MARGIN, columns // 2),
        (rows - _MARGIN, columns // 2),
    )
    for letter, (row, column) in zip(letters, places, strict=True):
        draw_letter(panel, letter, row, column)


def _side_by_side(panels: list[Rgb]) -> Rgb:
    rows = max(panel.shape[0] for panel in panels) + 2 * _GAP
    columns = sum(panel.shape[1] + _GAP for panel in panels) + _GAP
    page = np.full((rows, columns, 3), _BACKGROUND, np.uint8)
    left = _GAP
    for panel in panels:
        top = (rows - panel.shape[0]) // 2
        page[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    return page


def _write_png(page: Rgb, path: Path) -> None:
    with open_stage(path.parent, path.stem) as stage:
        png = stage / path.name
        sitk.WriteImage(sitk.GetImageFromArray(page, isVector=True), str(png))
        png.write_bytes(_mark(png.read_bytes()))
        publish(stage, [path.name], path.parent, check=partial(check_places, [preview_place(path)]))


def _mark(png: bytes) -> bytes:
    """Insert a text chunk after the first one (length, IHDR and 13 bytes, checksum), for `recognise.is_preview`."""
    start = len(PNG_SIGNATURE) + 4 + 4 + 13 + 4
    chunk = struct.pack(">I", len(PNG_MARK) - 4) + PNG_MARK + struct.pack(">I", zlib.crc32(PNG_MARK))
    return png[:start] + chunk + png[start:]
