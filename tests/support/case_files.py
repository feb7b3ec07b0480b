"""Files for tests of cases: names alone, or outputs of this program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from dicom_series import write_series

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.find import Source, find
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.choices import Format
from gpu_infer.errors import GpuInferError, InputError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.series_rules import series_of_option
from gpu_infer.writers.label_maps import LabelMap, write_label_maps


def touch(root: Path, *names: str) -> Path:
    """Make empty files; volumes are not read while cases are searched."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def series(folder: Path, uid: str = "1.2.826.0.1.1", slices: range = range(3), **tags: object) -> Path:
    """Write a DICOM series."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_series(folder, slices, series=uid, **tags)


def options(root: Path, series: str | None = None, **others: Any) -> CaseOptions:
    """Options of a batch whose output folder is `out` next to `root`."""
    choice = None if series is None else series_of_option(series)
    return CaseOptions(**{"output": root.parent / "out", "series": choice, **others})


def ids(source: Source | list[Path], chosen: CaseOptions) -> list[str]:
    """Identifiers of the cases."""
    return [case.id for case in find(source, chosen)]


def inputs(cases: list[Case], root: Path) -> dict[str, list[str]]:
    """Paths of the inputs below `root` by identifier."""
    return {case.id: [str(path.relative_to(root)) for path in case.inputs] for case in cases}


def refused(source: Source | list[Path], chosen: CaseOptions, error: type[GpuInferError] = InputError) -> str:
    """The line with which a batch is refused."""
    with pytest.raises(GpuInferError) as caught:
        find(source, chosen)
    assert type(caught.value) is error
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_labels(folder: Path, name: str, *formats: Format) -> list[Path]:
    """Write a label map as a run does; all formats if none is given."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = LabelMap(np.ones((3, 4, 5), np.uint8), "uint8", formats or get_args(Format))
    (files,) = write_label_maps({"pred": labels}, Geometry((3, 4, 5), np.eye(4)), folder, name).values()
    return [paths[0] for paths in files.values()]


def write_report(place: Path, label_map: Path) -> None:
    """Write what report.json says about a label map."""
    place.write_text(
        json.dumps({"versions": {"gpu_infer": "1"}, "outputs": [{"mhd": str(label_map)}]}), encoding="utf-8"
    )
