"""What a folder has to show: the volume, its label maps and their legends."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.system.resources import resource_folder
from gpu_infer.view.find_report import RunReport, case_below, find_report, read_object
from gpu_infer.view.legends import check_counts, counted_legend, page_names, recorded_counts, recorded_table
from gpu_infer.view.recorded_input import RecordedInput
from gpu_infer.volume.geometry import Geometry, format_shape
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page.case import Case, Legend, make_legend
from gpu_infer.writers.page.windows import measure_values, offered_windows
from gpu_infer.writers.page.write import LabelMap
from gpu_infer.writers.places import META_NAME, RENDER_NAME
from gpu_infer.writers.reports import REPORT_NAME

log = logging.getLogger(__name__)

_SAME_GRID_MM = 1e-2  # at the corners; a MetaImage header has fewer digits than an affine
_FULL = (1, 1, 1)


@dataclass(frozen=True)
class Study:
    """A volume with its label maps, and the content of their page."""

    volume: Volume
    maps: list[LabelMap]
    case: Case


def open_study(folder: Path) -> Study:
    """Read what the output folder or the publish folder of a run has to show.

    Raises `InputError` if the folder is neither, if only failed runs wrote into it, or if a file that it names cannot
    be read or has another grid. A warning says if the input is another one than that of the run.
    """
    if folder.is_file():
        raise InputError(
            f"{folder}: is a file, expected a folder", remedy=f"gpu-infer view {shlex.quote(str(folder.parent))}"
        )
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", remedy="give the output or the publish folder of a run")
    if (folder / META_NAME).is_file():
        return _from_publish(folder)
    report = find_report(folder)
    if report is None:
        if (case := case_below(folder)) is not None:
            raise InputError(
                f"{folder}: has folders of cases, expected the folder of one",
                remedy=f"give one of them: gpu-infer view {shlex.quote(str(case))}",
            )
        raise InputError(
            f"{folder}: found neither {REPORT_NAME} of a finished run nor {META_NAME}",
            remedy="give the output folder of a run, with its report, or its publish folder",
        )
    return _from_report(report)


def _from_report(run: RunReport) -> Study:
    report, place = run
    try:
        source, sections = RecordedInput(report["input"], report.get("published", ())), report["outputs"]
        if "index_space" in report["input"]:
            raise InputError(
                f"{place}: of a run in index space, which has no label map",
                remedy="show its SEG or its pictures in a DICOM viewer",
            )
        described = [(section["field"], run.label_map(section), section["labels"]) for section in sections]
        legends = [make_legend(field, labels, recorded_table(labels)) for field, _, labels in described]
        counts = [recorded_counts(labels) for _, _, labels in described]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{place}: not a report of this version: {error!r}", remedy="run the segmentation again"
        ) from error
    source.check_exists(place)
    volume = read_volume(source.path)
    if (change := source.change(volume)) is not None:
        log.warning(
            "%s: %s, and the labels may not belong to it (%s)", *(source.path, change, source.remedy_of_change())
        )
    study = _study(volume, [path for _, path, _ in described], legends, base_name(source.path), None)
    for (_, path, _), part, expected in zip(described, study.maps, counts, strict=True):
        check_counts(path, part.labels, expected, place)
    return study


def _from_publish(folder: Path) -> Study:
    """The volume and the label maps that config.meta names. Labels are counted; their names are those of the page."""
    meta = read_object(folder / META_NAME) or {}
    try:
        if "density" in meta:
            density, masks = meta["density"], list(meta["seg_masks"])
        else:
            density, *masks = [entry["file"] for entry in meta["data"]]
        paths = [_inside(folder, name) for name in (density, *masks)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / META_NAME}: names no volume with label maps", remedy="give the publish folder of a run"
        ) from error
    return _study(read_volume(paths[0]), paths[1:], None, base_name(paths[0]), folder)


def _study(volume: Volume, masks: list[Path], legends: list[Legend] | None, name: str, published: Path | None) -> Study:
    maps = []
    for number, mask in enumerate(masks):
        labels = read_volume(mask)
        _check_grid(volume.geometry, labels.geometry, mask)
        voxels = labels.data[0]
        if legends is None:
            legend = counted_legend(base_name(mask), labels, page_names(published, number))
        else:
            legend = legends[number]
        maps.append(LabelMap(voxels, legend))
    values = measure_values(volume)
    settings = (published or resource_folder("config")) / RENDER_NAME
    case = Case(
        name, volume.geometry, _FULL, values, offered_windows(values, settings, 0.0), [part.legend for part in maps]
    )
    return Study(volume, maps, case)


def _check_grid(expected: Geometry, found: Geometry, path: Path) -> None:
    if expected.shape == found.shape and np.abs(expected.corners() - found.corners()).max() < _SAME_GRID_MM:
        return
    raise InputError(
        f"{path}: found a grid of {format_shape(found.shape)} voxels, expected that of the volume, "
        f"{format_shape(expected.shape)} voxels at the same place",
        remedy="run the segmentation again",
    )


def _inside(folder: Path, name: str) -> Path:
    """A file that config.meta names. Raises `ValueError` for one of another folder."""
    if Path(name).name != name:
        raise ValueError(name)
    return folder / name
