"""Names, colours and counts of the labels that a folder has to show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.backends.types import HostArray
from gpu_infer.errors import InputError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.report import label_volumes
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page.case import Legend, make_legend, read_labels
from gpu_infer.writers.page.places import PAGE_NAME
from gpu_infer.writers.places import META_NAME

Recorded = Mapping[str, Mapping[str, Any]]
"""The section `outputs[].labels` of a report."""


def recorded_counts(labels: Recorded) -> dict[int, int]:
    """Voxels per label. Raises `KeyError`, `TypeError` or `ValueError` for a section of another program."""
    return {int(label): int(entry["voxels"]) for label, entry in labels.items()}


def recorded_table(labels: Recorded) -> LabelTable:
    """Names and colours. Raises as `recorded_counts`."""
    described = {}
    for key, entry in labels.items():
        if "name" in entry:
            plain = LabelTable()[int(key)]
            colour = bytes.fromhex(entry["colour"][1:]) if "colour" in entry else plain.colour
            described[int(key)] = Label(int(key), str(entry["name"]), (colour[0], colour[1], colour[2]))
    return LabelTable(described)


def check_counts(path: Path, voxels: HostArray, expected: Mapping[int, int], report: Path) -> None:
    """Refuse a label map that another run wrote later, with its report elsewhere: its labels have other names.

    Raises:
        InputError: A label does not have as many voxels as `report` records.
    """
    found = dict(enumerate(_counts(path, voxels)))
    for label in sorted(expected.keys() | found.keys()):
        there, recorded = found.get(label, 0), expected.get(label, 0)
        if there != recorded:
            raise InputError(
                f"{path}: found {there} voxels of label {label}, expected {recorded} as in {report}: the label map is "
                "not that of this run",
                remedy="run the segmentation again with its logs in this folder, or give its publish folder",
            )


def counted_legend(name: str, labels: Volume, table: LabelTable) -> Legend:
    """The legend of a label map without a report."""
    voxel_ml = abs(float(np.linalg.det(labels.geometry.affine[:3, :3]))) / 1000.0
    return make_legend(name, label_volumes(_counts(labels.path, labels.data[0]), voxel_ml, table), table)


def page_names(folder: Path | None, number: int) -> LabelTable:
    """The names and colours on the page in a publish folder; an empty table without a page of the same run.

    A run writes its page last: one that is older than config.meta is of an earlier run.
    """
    if folder is None:
        return LabelTable()
    page, meta = folder / PAGE_NAME, folder / META_NAME
    if not page.is_file() or page.stat().st_mtime_ns < meta.stat().st_mtime_ns:
        return LabelTable()
    return read_labels(page, number)


def _counts(path: Path, voxels: HostArray) -> list[int]:
    """Voxels of each label from 0 on."""
    if voxels.dtype.kind not in "iu" or voxels.min(initial=0) < 0:
        raise InputError(f"{path}: found {voxels.dtype}, expected labels", remedy="give a folder of a run")
    counts: list[int] = np.bincount(voxels.ravel(order="K")).tolist()
    return counts
