"""Write index.html with a reduced volume and its label maps, and the viewer that it loads, into the publish folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import open_stage
from gpu_infer.writers.atomic import publish as move_into_place
from gpu_infer.writers.copies import common_permissions
from gpu_infer.writers.other_cases import rename_file
from gpu_infer.writers.page import document
from gpu_infer.writers.page.asset import licence, viewer_file
from gpu_infer.writers.page.case import Case, Legend
from gpu_infer.writers.page.embed import GzipBase64
from gpu_infer.writers.page.nifti import nifti_header
from gpu_infer.writers.page.places import PAGE_NAME, case_of_page, page_places
from gpu_infer.writers.page.reduce import block_labels, block_means, block_size, reduced_geometry, slabs
from gpu_infer.writers.page.windows import Values, measure_values, offered_windows
from gpu_infer.writers.places import check_places

GREYS = 255
"""Steps of the voxels of the volume on a page, which have 8 bits."""


@dataclass(frozen=True)
class LabelMap:
    """A label map [I, J, K] on the volume's grid, and its legend."""

    labels: NDArray[Any]
    legend: Legend


def write_page(volume: Volume, maps: Sequence[LabelMap], name: str, folder: Path, render_settings: Path) -> Path:
    """Write index.html and the viewer's files into `folder`, together or not at all, and return the page's path.

    The page has the first channel with 8 bits per voxel and at most `MOST_VOXELS` voxels per axis. The volume is read
    slab by slab and written at once, so that the memory in use does not grow with it. The page has the permissions
    that all files of the input have.

    Args:
        volume: on the grid of the label maps.
        maps: at least one.
        name: of the case.
        folder: exists.
        render_settings: a config_render.json, whose ranges of values become windows.

    Raises:
        ConfigError: the viewer is not installed, or a file of another program is in a place.
        ResourceError: the disk.
    """
    viewer = viewer_file()
    values = measure_values(volume)
    windows = offered_windows(values, render_settings, (values.high - values.low) / GREYS)
    block = block_size(volume.geometry.shape)
    case = Case(name, volume.geometry, block, values, windows, [part.legend for part in maps])
    with open_stage(folder, PAGE_NAME) as stage:
        with (stage / PAGE_NAME).open("wb") as file:
            _write(file, case, volume, maps)
        shutil.copyfile(viewer, stage / document.VIEWER_NAME)
        (stage / document.LICENCE_NAME).write_bytes(licence())
        if sources := [path for path in volume.files or (volume.path,) if path.is_file()]:
            (stage / PAGE_NAME).chmod(common_permissions(sources))
        names = [document.VIEWER_NAME, document.LICENCE_NAME, PAGE_NAME]
        move_into_place(
            stage,
            names,
            folder,
            check=partial(check_places, page_places(folder), volume.files),
            rename_older=partial(rename_file, stage, folder / PAGE_NAME, name, case_of_page),
        )
    return folder / PAGE_NAME


def _write(file: BinaryIO, case: Case, volume: Volume, maps: Sequence[LabelMap]) -> None:
    digest = document.digest(case.as_json().encode())
    file.write(document.begin(case.name, digest).encode())
    _begin_element(file, document.IMAGE, "application/gzip")
    _write_image(file, volume, case)
    shown = []
    for number, part in enumerate(maps):
        _begin_element(file, document.labels_id(number), "application/gzip")
        shown.append(_write_labels(file, part, case))
    _begin_element(file, document.CASE, "application/json")
    file.write(replace(case, shown=shown).as_json().encode())
    file.write(document.END_ELEMENT.encode())
    file.write(document.end(digest).encode())


def _begin_element(file: BinaryIO, element_id: str, kind: str) -> None:
    file.write(document.begin_element(element_id, kind).encode())


def _write_image(file: BinaryIO, volume: Volume, case: Case) -> None:
    low, step = case.values.low, (case.values.high - case.values.low) / GREYS
    packed = GzipBase64(file)
    packed.write(nifti_header(reduced_geometry(case.geometry, case.block), np.uint8, slope=step, inter=low))
    for slab in slabs(volume.data[0], case.block):
        packed.write(_greys(block_means(slab, case.block), volume, case.values, step).data)
    packed.close()
    file.write(document.END_ELEMENT.encode())


def _greys(means: NDArray[np.float32], volume: Volume, values: Values, step: float) -> NDArray[np.uint8]:
    """Return stored values as steps above the lowest value that the page shows; NaN is the lowest one."""
    means *= np.float32(volume.slope / step)
    means += np.float32((volume.inter - values.low) / step + 0.5)
    np.nan_to_num(means, copy=False, nan=0.0)
    return means.clip(0, GREYS, out=means).astype(np.uint8)


def _write_labels(file: BinaryIO, part: LabelMap, case: Case) -> list[int]:
    """Write a label map; returns how many voxels of each index are shown."""
    legend = part.legend
    table = legend.indices(max((row.number for row in legend.rows), default=0))
    counts = np.zeros(len(legend.rows) + 1, np.int64)
    packed = GzipBase64(file)
    packed.write(nifti_header(reduced_geometry(case.geometry, case.block), table.dtype, labels=True))
    for slab in slabs(part.labels, case.block):
        indices = table[block_labels(slab, case.block)]
        counts += np.bincount(indices.ravel(), minlength=counts.size)
        packed.write(indices.data)
    packed.close()
    file.write(document.END_ELEMENT.encode())
    return [int(count) for count in counts]
