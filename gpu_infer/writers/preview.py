"""The preview: an axial, a coronal and a sagittal plane with the outlines of the labels, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import LabelTable
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import open_stage, publish
from gpu_infer.writers.page_text import (
    BACKGROUND,
    CAPTION_ROWS,
    GAP,
    LegendEntry,
    draw_caption,
    draw_legend,
    draw_letters,
    draw_title,
    legend_entries,
)
from gpu_infer.writers.places import check_places, preview_place
from gpu_infer.writers.raster import Pixels, draw_plane
from gpu_infer.writers.recognise import PNG_SOFTWARE

# Black and white in HU, between a lung and a soft-tissue window: vessels in the lung and the chest wall both show.
CT_LIMITS = (-1200.0, 400.0)

_PANEL = 480  # pixels of the longest side of any plane
_LEAST_WIDTH = 480  # of a page, for its title and its legend
_SAMPLES = 200_000


@dataclass(frozen=True)
class _View:
    """A plane across canonical axis `across`; both axes shown run downwards, which is the radiological convention.

    With RAS+ axes, the patient's right is at the left of axial and coronal planes, anterior is on top of axial planes
    and at the left of sagittal planes, and superior is on top of the others. `letters`: left, right, top, bottom.
    """

    name: str
    across: int
    letters: str
    sides: str  # negative and positive direction of the axis across the plane


_VIEWS = (
    _View("axial", 2, "RLAP", "IS"),
    _View("coronal", 1, "RLSI", "PA"),
    _View("sagittal", 0, "APSI", "LR"),
)


def write_preview(
    volume: Volume,
    labels: Voxels,
    path: Path,
    *,
    title: str = "",
    table: LabelTable | None = None,
    counts: Sequence[int] = (),
    contours: bool = True,
) -> Path:
    """Write an RGB PNG of three planes side by side, in true proportions, and return its path.

    Planes go through the labels' centre of mass. If the centre shows less than half as many labels as another slice
    (between two lungs, for example), they go through the slice with the most, of those in the middle half of the labels
    along the axis; without labels through the middle. Of several channels the first
    one is shown. If the values look like CT, `CT_LIMITS` are black and white, else the 1st and the 99th percentile.
    Below each plane stands its position, as the RAS+ coordinate of its centre along the axis across it; below all of
    them colour, name and volume of every label that occurs.

    Args:
        volume: its first channel is shown.
        labels: [I, J, K] integers on the volume's stored grid, 0 is background.
        path: ends in .png; an older preview is replaced.
        title: in the first line.
        table: names and colours of the labels; None: default ones.
        counts: voxels of each label, from 0 on, for the legend; empty: no legend.
        contours: draw the labels. Without them the planes are the same, and there is no legend.

    Raises:
        ConfigError: the name, the folder, or a file of another program in the place.
        ResourceError: the disk.
        ValueError: the labels have another shape than the volume.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"preview {path}: expected a name that ends in .png", remedy="give another name")
    if labels.shape != volume.geometry.shape:
        raise ValueError(f"labels of shape {labels.shape} for a grid of shape {volume.geometry.shape}")
    table = LabelTable() if table is None else table
    panels = _panels(volume, labels, table, contours=contours)
    voxel_ml = abs(float(np.linalg.det(volume.geometry.affine[:3, :3]))) / 1000
    occurring = [(n, count) for n, count in enumerate(counts) if n and count] if contours else []
    entries = [LegendEntry(table[n].name, table[n].colour, count * voxel_ml) for n, count in occurring]
    _write_png(_page(title, panels, legend_entries(entries)), path)
    return path


def _panels(volume: Volume, labels: Voxels, table: LabelTable, *, contours: bool) -> list[tuple[Pixels, str]]:
    """The planes with their captions."""
    orientation = volume.geometry.orientation
    image = orientation.view(volume.data[0])
    mask = orientation.view(labels)
    canonical = volume.geometry.reoriented(orientation)
    spacing = canonical.spacing
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
        numbers = _plane(mask, view.across, centre)
        panel = draw_plane(grey.astype(np.float32), numbers if contours else 0 * numbers, (rows, columns), table)
        middle = [(n - 1) / 2 for n in image.shape]
        middle[view.across] = centre[view.across]
        position = float(canonical.affine[view.across] @ [*middle, 1.0])
        caption = f"{view.name}  {view.sides[position >= 0]}  {abs(position):.1f} mm"
        panels.append((draw_letters(panel, view.letters), caption))
    return panels


def _plane(array: Voxels, across: int, centre: tuple[int, ...]) -> Voxels:
    """Return the plane through `centre` [rows, columns]; both axes run downwards."""
    index: list[int | slice] = [slice(None)] * 3
    index[across] = centre[across]
    plane: Voxels = array[tuple(index)].T[::-1, ::-1]  # not `take`, which first copies an array in Fortran order
    return plane


def _centre(mask: Voxels) -> tuple[int, ...]:
    inside = mask != 0
    centre = []
    for axis, size in enumerate(mask.shape):
        counts = inside.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.int64)
        total = counts.sum()
        at = round(float((counts * np.arange(size)).sum() / total)) if total else size // 2
        # Between the quartiles: false labels outside the body are at the ends, and often fill a slice there.
        first, last = np.searchsorted(counts.cumsum(), (total / 4, 3 * total / 4))
        middle = counts[first : last + 1]
        centre.append(at if 2 * counts[at] >= middle.max() else int(first + middle.argmax()))
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


def _page(title: str, panels: Sequence[tuple[Pixels, str]], entries: Sequence[LegendEntry]) -> Pixels:
    """Title, planes side by side, their captions, and the legend, from top to bottom."""
    height = max(panel.shape[0] for panel, _ in panels)
    width = max(sum(panel.shape[1] + GAP for panel, _ in panels) + GAP, _LEAST_WIDTH)
    planes = np.full((height + GAP + CAPTION_ROWS, width, 3), BACKGROUND, np.uint8)
    left = GAP
    for panel, caption in panels:
        rows, columns, _ = panel.shape
        top = (height - rows) // 2
        planes[top : top + rows, left : left + columns] = panel
        planes[height:-GAP, left : left + columns] = draw_caption(columns, caption)
        left += columns + GAP
    return np.concatenate([draw_title(width, title), planes, draw_legend(width, entries)])


def _write_png(page: Pixels, path: Path) -> None:
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", PNG_SOFTWARE)  # for `recognise.is_preview`
    with open_stage(path.parent, path.stem) as stage:
        with (stage / path.name).open("wb") as file:
            Image.fromarray(page).save(file, "PNG", pnginfo=mark)
        publish(stage, [path.name], path.parent, check=partial(check_places, [preview_place(path)]))
