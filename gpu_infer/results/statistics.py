"""The statistics of a run: a table per label map, and the same numbers in the report."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.backends.label_tables import LabelStatistics
from gpu_infer.label_table.table import LabelTable
from gpu_infer.redaction import reported_path
from gpu_infer.report import Report, Section
from gpu_infer.results.label_maps import output_base
from gpu_infer.segment import Segmentation
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.millilitres import rounded_ml
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import still_there
from gpu_infer.writers.statistics import Row, write_statistics

log = logging.getLogger(__name__)


def write_label_statistics(segmentation: Segmentation, volume: Volume, report: Report) -> list[Path]:
    """Write a table per label map and extend `outputs` of the report, if the options ask for statistics.

    Raises what `write_statistics` raises; the label maps are written already.
    """
    inputs = segmentation.plan.inputs
    if not inputs.settings.statistics:
        return []
    table, folder = inputs.config.labels, inputs.settings.output
    sections = {field: statistics_section(rows, volume, table) for field, rows in segmentation.statistics.items()}
    with report.stage("write"), still_there(folder):
        tables = {field: [_row(label, entry) for label, entry in rows.items()] for field, rows in sections.items()}
        paths = write_statistics(tables, folder, output_base(inputs.settings, inputs.header))
    for entry in report.data["outputs"]:
        entry.update(statistics_csv=reported_path(paths[entry["field"]]), statistics=sections[entry["field"]])
    for path in paths.values():
        log.info("wrote %s", path)
    return list(paths.values())


def statistics_section(rows: dict[int, LabelStatistics], volume: Volume, table: LabelTable) -> Section:
    """`outputs[].statistics`: numbers by label, of those that occur and those that the configuration describes."""
    labels = sorted(rows.keys() | {label for label in table.described if label > 0})
    section: Section = {}
    for label in labels:
        row = rows.get(label)
        numbers = _empty() if row is None else _numbers(row, volume)
        section[str(label)] = {"name": table[label].name, **numbers}
    return section


def _numbers(row: LabelStatistics, volume: Volume) -> Section:
    """Values in physical units, places in RAS+ mm and in stored indices."""
    geometry, slope, inter = volume.geometry, volume.slope, volume.inter
    ends = sorted(slope * value + inter for value in (row.minimum, row.maximum))
    values = {
        "mean": slope * row.mean + inter,
        "std": abs(slope) * row.std,
        "median": slope * row.median + inter,
        "min": ends[0],
        "max": ends[1],
    }
    return {
        "voxels": row.voxels,
        "ml": rounded_ml(row.voxels * _voxel_ml(geometry)),
        "not_finite": row.not_finite,
        **{name: value if math.isfinite(value) else None for name, value in values.items()},
        "box_begin": list(row.begin),
        "box_end": list(row.end),
        "centroid_ras_mm": [float(v) for v in (geometry.affine @ [*row.centre, 1.0])[:3]],
        "touches_border": 0 in row.begin or any(e == n for e, n in zip(row.end, geometry.shape, strict=True)),
    }


def _empty() -> Section:
    """A label without voxels."""
    unknown = ("mean", "std", "median", "min", "max", "box_begin", "box_end", "centroid_ras_mm")
    return {"voxels": 0, "ml": 0.0, "not_finite": 0, **dict.fromkeys(unknown), "touches_border": False}


def _voxel_ml(geometry: Geometry) -> float:
    return abs(float(np.linalg.det(geometry.affine[:3, :3]))) / 1000.0


def _row(label: str, entry: Section) -> Row:
    """A row of the table: lists become columns."""
    row: dict[str, Any] = {"label": int(label), **entry}
    for prefix, letters, suffix, key in (
        ("box_begin_", "ijk", "", "box_begin"),
        ("box_end_", "ijk", "", "box_end"),
        ("centroid_", "ras", "_mm", "centroid_ras_mm"),
    ):
        numbers = row.pop(key) or (None, None, None)
        row.update({f"{prefix}{letter}{suffix}": n for letter, n in zip(letters, numbers, strict=True)})
    return row
