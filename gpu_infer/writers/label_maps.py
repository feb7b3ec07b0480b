"""The label maps of a run: two files each, and all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from numpy.typing import DTypeLike

from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.atomic import check_space, open_stage, publish
from gpu_infer.writers.metaimage import HEADER_BYTES, write_pair
from gpu_infer.writers.names import label_map_names
from gpu_infer.writers.output_dtype import cast_labels
from gpu_infer.writers.places import check_places, label_map_places
from gpu_infer.writers.recognise import is_voxels

Pair = tuple[Path, Path]
"""Header and voxels of a MetaImage."""


def write_label_maps(
    maps: Mapping[str, tuple[Voxels, DTypeLike]], geometry: Geometry, folder: Path, base: str
) -> dict[str, Pair]:
    """Write label maps as MetaImages, and return the header and the voxels of each by field.

    Args:
        maps: labels [I, J, K] and output dtype, by field of the configuration.
        geometry: of all maps.
        folder: exists.
        base: file name of the input without extension.

    Raises what `cast_labels` and `write_metaimage` raise; no file of the folder has then changed.
    """
    names = label_map_names(base, list(maps))
    arrays = {field: cast_labels(labels, dtype) for field, (labels, dtype) in maps.items()}
    check_space(folder, sum(array.nbytes + HEADER_BYTES for array in arrays.values()))
    with open_stage(folder, base) as stage:
        staged = {field: write_pair(array, geometry, stage, names[field]) for field, array in arrays.items()}
        in_order = [raw.name for _, raw in staged.values()] + [mhd.name for mhd, _ in staged.values()]
        packed = [(raw.with_suffix(".zraw").name, folder / mhd.name) for mhd, raw in staged.values()]
        obsolete = [name for name, header in packed if is_voxels(folder / name, header)]
        check = partial(check_places, label_map_places(folder, base, list(maps)))
        publish(stage, in_order, folder, obsolete=obsolete, check=check)
    return {field: (folder / mhd.name, folder / raw.name) for field, (mhd, raw) in staged.items()}
