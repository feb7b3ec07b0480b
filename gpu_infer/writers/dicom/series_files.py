"""The DICOM files of a label map: their names, and writing them all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from gpu_infer.label_table.table import Label
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import check_space, make_folder, open_stage, publish
from gpu_infer.writers.dicom.document import Algorithm, is_output, save
from gpu_infer.writers.dicom.rtstruct import make_rtstruct
from gpu_infer.writers.dicom.sc import make_captures
from gpu_infer.writers.dicom.seg import kind_of, make_seg, make_segments
from gpu_infer.writers.dicom.source import Source
from gpu_infer.writers.dicom.sr import make_sr
from gpu_infer.writers.names import captures_folder
from gpu_infer.writers.places import Place, check_places

FIRST_SERIES = 300
"""SeriesNumber of the SEG of the first label map; scanners number their series far below."""

SERIES_STEP = 10
"""Distance of the numbers of the next label map's series."""

SERIES = {"seg": 0, "sc": 1, "sr": 2, "rtstruct": 3}
"""What is added to the number of the SEG's series, by kind of file."""

_HEADER_BYTES = 2048  # of a secondary capture, in addition to its pixels


class Kinds(Protocol):
    """Which files are wanted."""

    @property
    def dicom_seg(self) -> str | None: ...
    @property
    def dicom_sc(self) -> bool: ...
    @property
    def dicom_sr(self) -> bool: ...
    @property
    def rtstruct(self) -> bool: ...
    @property
    def output(self) -> Path: ...


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map with at least one label, unless `labels` is empty.

    name        of its files, without extension
    voxels      labels [I, J, K] on the volume's grid
    labels      that occur in it, without the background, in ascending order
    volumes_ml  of these labels
    """

    name: str
    voxels: Voxels
    labels: Sequence[Label]
    volumes_ml: Mapping[int, float]


def single_files(folder: Path, name: str, kinds: Kinds) -> dict[str, Path]:
    """The files of one instance, by kind."""
    switches = {"seg": kinds.dicom_seg is not None, "sr": kinds.dicom_sr, "rtstruct": kinds.rtstruct}
    return {kind: folder / f"{name}.{kind}.dcm" for kind, is_on in switches.items() if is_on}


def write_files(
    label_map: LabelMap, volume: Volume, source: Source, algorithm: Algorithm, kinds: Kinds, shift: int
) -> list[Path]:
    """Write the wanted files of a label map, and return their paths.

    SEG, SR and RTSTRUCT appear together or not at all, and so do the secondary captures.

    Args:
        label_map: has a label.
        volume: is shown in the secondary captures.
        source: the series to which the files belong.
        algorithm: the model.
        kinds: the wanted files, and their folder.
        shift: is added to the numbers of the series.

    Raises what `open_stage`, `publish`, `make_seg` and `make_sr` raise.
    """
    number = {kind: FIRST_SERIES + shift + offset for kind, offset in SERIES.items()}
    files = single_files(kinds.output, label_map.name, kinds)
    written = list(files.values())
    if files:
        with open_stage(kinds.output, label_map.name) as stage:
            _write_single(label_map, source, algorithm, kinds, number, {k: stage / p.name for k, p in files.items()})
            names = [path.name for path in written]
            publish(stage, names, kinds.output, check=partial(check_places, _places(written)))
    if kinds.dicom_sc:
        written += _write_captures(label_map, volume, source, algorithm, kinds.output, number["sc"])
    return written


def remove_older(folder: Path, name: str, kinds: Kinds) -> None:
    """Remove the files of an older run, which would be taken for those of this one."""
    captures = captures_folder(folder, name)
    older = [path for path in single_files(folder, name, kinds).values() if path.is_file() and is_output(path)]
    if kinds.dicom_sc:
        older += _older_captures(captures)
    for path in older:
        path.unlink()
    with suppress(OSError):  # not there, or with files of others
        captures.rmdir()


def _write_single(
    label_map: LabelMap,
    source: Source,
    algorithm: Algorithm,
    kinds: Kinds,
    number: Mapping[str, int],
    paths: Mapping[str, Path],
) -> None:
    if kinds.dicom_seg is not None:
        kind = kind_of(kinds.dicom_seg, len(label_map.labels))
        segments = make_segments(label_map.labels, kind)
        seg = make_seg(label_map.voxels, segments, kind, source, algorithm, number["seg"])
        save(seg, source, paths["seg"])
        del seg.PixelData
        if kinds.dicom_sr:
            sr = make_sr(seg, segments, label_map.volumes_ml, source, algorithm, number["sr"])
            save(sr, source, paths["sr"])
    if kinds.rtstruct:
        structures = make_rtstruct(label_map.voxels, label_map.labels, source, algorithm, number["rtstruct"])
        save(structures, source, paths["rtstruct"])


def _write_captures(
    label_map: LabelMap, volume: Volume, source: Source, algorithm: Algorithm, output: Path, series_number: int
) -> list[Path]:
    folder = captures_folder(output, label_map.name)
    make_folder(folder)
    try:
        columns, rows, slices = source.geometry.shape
        check_space(folder, slices * (3 * rows * columns + _HEADER_BYTES))
        colours = {label.value: label.colour for label in label_map.labels}
        with open_stage(folder, label_map.name) as stage:
            names = []
            captures = make_captures(volume, label_map.voxels, colours, source, algorithm, series_number)
            for capture in captures:
                names.append(f"{capture.InstanceNumber:04d}.dcm")
                save(capture, source, stage / names[-1])
            paths = [folder / name for name in names]
            obsolete = [path.name for path in _older_captures(folder) if path.name not in names]
            publish(stage, names, folder, obsolete=obsolete, check=partial(check_places, _places(paths)))
    except BaseException:
        with suppress(OSError):  # empty unless older pictures are there
            folder.rmdir()
        raise
    return paths


def _older_captures(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]*.dcm")) if path.is_file() and is_output(path)]


def _places(paths: Sequence[Path]) -> list[Place]:
    return [Place(path, "a DICOM file of an older run", "output", is_output) for path in paths]
