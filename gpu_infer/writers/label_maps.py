"""The label maps of a run, each in one format or several: all of their files or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from numpy.typing import DTypeLike

from gpu_infer.choices import DEFAULT_FORMAT, Format
from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import LabelTable
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.nifti_grid import NiftiGrid
from gpu_infer.writers.atomic import check_space, open_stage, publish
from gpu_infer.writers.formats.base import LabelFormat, LabelImage
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.metaimage import HEADER_BYTES
from gpu_infer.writers.names import label_map_names
from gpu_infer.writers.output_dtype import cast_labels
from gpu_infer.writers.places import Place, check_places

Files = dict[Format, list[Path]]
"""The files of a label map by format; the first of each is the one that programs open."""


class LabelMap(NamedTuple):
    """A label map to write.

    labels   [I, J, K] integers
    dtype    in the files
    formats  without repetition
    """

    labels: Voxels
    dtype: DTypeLike
    formats: Sequence[Format] = (DEFAULT_FORMAT,)


def write_label_maps(
    maps: Mapping[str, LabelMap],
    geometry: Geometry,
    folder: Path,
    base: str,
    *,
    table: LabelTable | None = None,
    nifti: NiftiGrid | None = None,
) -> dict[str, Files]:
    """Write label maps, and return their files by field.

    Args:
        maps: by field of the configuration.
        geometry: of all maps.
        folder: exists.
        base: file name without extension.
        table: names of the labels, for formats that can contain them.
        nifti: the grid as the header of a NIfTI input has it.

    Raises what `cast_labels` and `LabelFormat.write` raise; no file of the folder has then changed.
    """
    names = label_map_names(base, list(maps))
    images = {
        field: LabelImage(cast_labels(labels, dtype), geometry, table or LabelTable(), nifti)
        for field, (labels, dtype, _) in maps.items()
    }
    formats = {field: list(label_map.formats) for field, label_map in maps.items()}
    needed = least_label_map_bytes((FORMATS[each], images[field].array) for field in maps for each in formats[field])
    check_space(folder, needed)
    with open_stage(folder, base) as stage:
        staged: dict[str, dict[Format, Sequence[Path]]] = {
            field: {each: FORMATS[each].write(images[field], stage, names[field]) for each in formats[field]}
            for field in maps
        }
        files = [paths for by_format in staged.values() for paths in by_format.values()]
        # what a header refers to comes before all headers
        in_order = [path.name for *data, _ in files for path in data] + [paths[-1].name for paths in files]
        obsolete = [
            name for field in maps for each in formats[field] for name in FORMATS[each].obsolete(folder, names[field])
        ]
        publish(
            stage,
            in_order,
            folder,
            obsolete=obsolete,
            check=partial(check_places, label_map_places(folder, base, formats)),
        )
    return {
        field: {each: [folder / path.name for path in reversed(paths)] for each, paths in by_format.items()}
        for field, by_format in staged.items()
    }


def least_label_map_bytes(maps: Iterable[tuple[LabelFormat, Voxels]]) -> int:
    """Bytes that label maps take at least, by format and array."""
    return sum(form.least_bytes(array) + HEADER_BYTES for form, array in maps)


def label_map_places(folder: Path, base: str, formats: Mapping[str, Sequence[Format]]) -> list[Place]:
    """Places of the label maps in the output folder; `formats` by field.

    Raises `ConfigError` if two label maps would have a file of the same name.
    """
    names = label_map_names(base, list(formats))
    places = [
        place
        for field, chosen in formats.items()
        for each in chosen
        for place in FORMATS[each].places(folder, names[field])
    ]
    for path, count in Counter(place.path for place in places).most_common(1):
        if count > 1:
            raise ConfigError(
                f"{path}: {count} label maps would have this name, expected one",
                remedy="give the fields of the configuration other names, or choose one format",
            )
    return places
