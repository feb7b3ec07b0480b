"""The label maps of a run: one file pair each, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.atomic import check_space, publish, staging
from gpu_infer.writers.metaimage import HEADER_BYTES, write_pair
from gpu_infer.writers.names import label_map_names
from gpu_infer.writers.output_dtype import fit_labels
from gpu_infer.writers.places import check_places, label_map_places
from gpu_infer.writers.recognise import is_voxels

Pair = tuple[Path, Path]


def write_label_maps(
    maps: Mapping[str, tuple[NDArray[Any], DTypeLike]], geometry: Geometry, folder: Path, base: str
) -> dict[str, Pair]:
    """Write labels [I, J, K] by field as MetaImages in their dtypes; the header and the voxels of each.

    Raises what `fit_labels` and `write_metaimage` raise; then no file of the folder is another one.
    """
    names = label_map_names(base, list(maps))
    fitted = {field: fit_labels(labels, dtype) for field, (labels, dtype) in maps.items()}
    check_space(folder, sum(array.nbytes + HEADER_BYTES for array in fitted.values()))
    with staging(folder, base) as stage:
        staged = {f: write_pair(array, geometry, stage, names[f]) for f, array in fitted.items()}
        in_order = [raw.name for _, raw in staged.values()] + [mhd.name for mhd, _ in staged.values()]
        packed = [(raw.with_suffix(".zraw").name, folder / mhd.name) for mhd, raw in staged.values()]
        obsolete = [name for name, header in packed if is_voxels(folder / name, header)]
        check = partial(check_places, label_map_places(folder, base, list(maps)))
        publish(stage, in_order, folder, obsolete=obsolete, check=check)
    return {f: (folder / mhd.name, folder / raw.name) for f, (mhd, raw) in staged.items()}
