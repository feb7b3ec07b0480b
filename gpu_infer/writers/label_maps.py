"""The label maps of a run: one file pair each, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from ..volume.geometry import Geometry
from .atomic import check_space, publish, staging
from .labels import fit_labels
from .metaimage import write_metaimage

Pair = tuple[Path, Path]


def label_map_names(base: str, fields: list[str]) -> dict[str, str]:
    """File name without extension by field: the base name itself for one field, `<base>.<field>` for several."""
    return {field: base if len(fields) == 1 else f"{base}.{field}" for field in fields}


def write_label_maps(
    maps: Mapping[str, tuple[NDArray[Any], DTypeLike]], geometry: Geometry, folder: Path, base: str
) -> dict[str, Pair]:
    """Write labels [I, J, K] by field as MetaImages in their dtypes; the header and the voxels of each.

    Raises what `fit_labels` and `write_metaimage` raise; then no file has changed.
    """
    names = label_map_names(base, list(maps))
    fitted = {field: fit_labels(labels, dtype) for field, (labels, dtype) in maps.items()}
    if len(fitted) == 1:
        return {f: write_metaimage(array, geometry, folder, names[f]) for f, array in fitted.items()}
    check_space(folder, sum(array.nbytes + 4096 for array in fitted.values()))
    with staging(folder, base) as stage:
        staged = {f: write_metaimage(array, geometry, stage, names[f]) for f, array in fitted.items()}
        in_order = [raw.name for _, raw in staged.values()] + [mhd.name for mhd, _ in staged.values()]
        obsolete = [f"{names[f]}.zraw" for f in fitted]
        publish(stage, in_order, folder, obsolete=obsolete)
    return {f: (folder / mhd.name, folder / raw.name) for f, (mhd, raw) in staged.items()}
