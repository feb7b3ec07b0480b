"""What a folder has to show: the volume, its label maps and their legends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.report import label_volumes
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry, format_shape
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page.case import Case, Legend, make_legend, read_labels
from gpu_infer.writers.page.places import PAGE_NAME
from gpu_infer.writers.page.windows import measure_values, offered_windows
from gpu_infer.writers.page.write import LabelMap
from gpu_infer.writers.places import META_NAME, RENDER_NAME
from gpu_infer.writers.reports import REPORT_NAME

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

    The logs folder, with report.json, may be `logs` beside the output folder, as `gpu-infer demo` has it. Raises
    `InputError` if the folder is neither, or if a file that it names cannot be read or has another grid.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", remedy="give the output or the publish folder of a run")
    if (folder / META_NAME).is_file():
        return _from_publish(folder)
    for place in (folder / REPORT_NAME, folder / "logs" / REPORT_NAME, folder.parent / "logs" / REPORT_NAME):
        report = _read_object(place) if place.is_file() else None
        if report is None or not _is_done(report):
            continue
        if place.is_relative_to(folder) or _wrote_into(report, folder):
            return _from_report(report, place)
    raise InputError(
        f"{folder}: found neither {REPORT_NAME} of a finished run nor {META_NAME}",
        remedy="give the output folder of a run, with its report, or its publish folder",
    )


def _is_done(report: dict[str, Any]) -> bool:
    return report.get("status") == "done" and isinstance(report.get("outputs"), list) and bool(report["outputs"])


def _wrote_into(report: dict[str, Any], folder: Path) -> bool:
    """Whether the label maps of a finished run are in `folder`: runs with other output folders may share their logs."""
    try:
        return all(Path(_label_map(section)).parent.resolve() == folder.resolve() for section in report["outputs"])
    except (KeyError, IndexError, TypeError):
        return False


def _from_report(report: dict[str, Any], place: Path) -> Study:
    try:
        source, sections = Path(report["input"]["path"]), report["outputs"]
        if "index_space" in report["input"]:
            raise InputError(
                f"{place}: of a run in index space, which has no label map",
                remedy="show its SEG or its pictures in a DICOM viewer",
            )
        described = [(section["field"], _beside(place, _label_map(section)), section["labels"]) for section in sections]
        legends = [make_legend(field, labels, _table(labels)) for field, _, labels in described]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{place}: not a report of this version: {error!r}", remedy="run the segmentation again"
        ) from error
    if not source.exists():
        raise InputError(
            f"{source}: the input of the run in {place} is not there any more",
            remedy="give the publish folder, which has a copy",
        )
    return _study(source, [path for _, path, _ in described], legends, base_name(source), None)


def _from_publish(folder: Path) -> Study:
    """The volume and the label maps that config.meta names. Labels are counted; their names are those of the page."""
    meta = _read_object(folder / META_NAME) or {}
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
    return _study(paths[0], paths[1:], None, base_name(paths[0]), folder)


def _study(source: Path, masks: list[Path], legends: list[Legend] | None, name: str, published: Path | None) -> Study:
    volume = read_volume(source)
    maps = []
    for number, mask in enumerate(masks):
        labels = read_volume(mask)
        _check_grid(volume.geometry, labels.geometry, mask)
        voxels = labels.data[0]
        if legends is None:
            legend = _counted(base_name(mask), labels, _page_names(published, number))
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


def _counted(name: str, labels: Volume, table: LabelTable) -> Legend:
    voxels = labels.data[0]
    if voxels.dtype.kind not in "iu" or voxels.min(initial=0) < 0:
        raise InputError(f"{labels.path}: found {voxels.dtype}, expected labels", remedy="give a folder of a run")
    counts = np.bincount(voxels.ravel(order="K"))
    voxel_ml = abs(float(np.linalg.det(labels.geometry.affine[:3, :3]))) / 1000.0
    return make_legend(name, label_volumes(counts.tolist(), voxel_ml, table), table)


def _table(labels: dict[str, dict[str, Any]]) -> LabelTable:
    """The table of the names and colours in a report's section `outputs[].labels`."""
    described = {}
    for key, entry in labels.items():
        if "name" in entry:
            plain = LabelTable()[int(key)]
            colour = bytes.fromhex(entry["colour"][1:]) if "colour" in entry else plain.colour
            described[int(key)] = Label(int(key), str(entry["name"]), (colour[0], colour[1], colour[2]))
    return LabelTable(described)


def _page_names(folder: Path | None, number: int) -> LabelTable:
    """The names and colours on the page in a publish folder; an empty table without a page of the same run.

    A run writes its page last: one that is older than config.meta is of an earlier run.
    """
    if folder is None:
        return LabelTable()
    page, meta = folder / PAGE_NAME, folder / META_NAME
    if not page.is_file() or page.stat().st_mtime_ns < meta.stat().st_mtime_ns:
        return LabelTable()
    return read_labels(page, number)


def _label_map(section: dict[str, Any]) -> str:
    """The file of a label map: the .mhd, or the first of its formats. Raises `KeyError` or `IndexError`."""
    return str(section.get("mhd") or section["files"][0]["path"])


def _beside(report: Path, label_map: str) -> Path:
    """A label map next to the report, or, if the logs have a folder of their own, where the report has it.

    A folder that was moved may have a successor of another case at its old place.
    """
    path = Path(label_map)
    near = report.parent / path.name
    return near if near.is_file() else path


def _inside(folder: Path, name: str) -> Path:
    """A file that config.meta names. Raises `ValueError` for one of another folder."""
    if Path(name).name != name:
        raise ValueError(name)
    return folder / name


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
