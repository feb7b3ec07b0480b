"""The publish folder: everything that a renderer needs to show the volume with its segmentation."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from ..errors import ConfigError, InputError
from ..volume.choose import base_name
from ..volume.volume import Volume
from .atomic import publish as move_into_place
from .atomic import staging
from .folders import make_folder
from .metaimage import write_metaimage
from .render_settings import FILE_NAME, load_render_settings
from .scaled import ScaledVoxels

logger = logging.getLogger(__name__)

Dialect = Literal["v1", "v2", "both"]
META_NAME = "config.meta"
_DATA_FILE = "ElementDataFile"
_AS_STORED = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32")


def publish(
    volume: Volume,
    mask_mhd: Path | Sequence[Path],
    model_name: str,
    folder: Path,
    render_settings: Path,
    *,
    dialect: Dialect = "v1",
) -> list[Path]:
    """Fill `folder` (made when missing) and return its files, `config.meta` last.

    <name>.mhd, .raw          the input in physical units: stored dtype where slope and inter do nothing, else int16
                              when all values are whole and fit, else float32; of several channels the first one
    <name>.nii.gz             a NIfTI input is copied as it is, too; renderers of the time read MHD only
    <name>.out.mhd, .out.raw  the segmentation, copied from `mask_mhd`; of several `<its name>.out.*` each
    config_render.json        copied from `render_settings`, after a check
    config.meta               names of the above for `model_name`; dialect v1 (density, seg_masks), v2 (data: file and
                              order) or both in one file

    All files appear together or none does; older ones of the same names are replaced. Raises ConfigError (settings,
    folder, dialect), InputError (the mask's header), ResourceError (disk).
    """
    if dialect not in ("v1", "v2", "both"):
        raise ConfigError(f"publish dialect {dialect!r} unknown", remedy="choose v1, v2 or both")
    load_render_settings(render_settings)
    name = base_name(volume.path)
    masks = [mask_mhd] if isinstance(mask_mhd, Path) else list(mask_mhd)
    outs = [f"{name}.out"] if len(masks) == 1 else [f"{base_name(mask)}.out" for mask in masks]
    make_folder(folder)
    with staging(folder, name) as stage:
        density, voxels = write_metaimage(_physical(volume), volume.geometry, stage, name)
        names = [voxels.name, density.name]
        if volume.format == "nifti":
            names += [_copy(file, stage) for file in volume.files or (volume.path,)]
        for mask, out in zip(masks, outs, strict=True):
            names += _copy_mask(mask, stage, out)
        shutil.copyfile(render_settings, stage / FILE_NAME)
        meta = _meta(density.name, [f"{out}.mhd" for out in outs], model_name, dialect)
        text = json.dumps(meta, indent=4, sort_keys=True) + "\n"
        (stage / META_NAME).write_text(text, encoding="utf-8")
        names = list(dict.fromkeys([*names, FILE_NAME, META_NAME]))
        move_into_place(stage, names, folder)
    return [folder / each for each in names]


def _meta(density: str, masks: list[str], model_name: str, dialect: Dialect) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": model_name, "settings": FILE_NAME}
    if dialect != "v2":
        meta |= {"density": density, "seg_masks": masks}
    if dialect != "v1":
        meta["data"] = [{"file": density, "order": "DXYZ"}, *({"file": mask, "order": "MXYZ"} for mask in masks)]
    return meta


def _copy(file: Path, stage: Path) -> str:
    shutil.copyfile(file, stage / file.name)
    return file.name


def _copy_mask(mhd: Path, stage: Path, name: str) -> list[str]:
    """Copy a MetaImage under a new name, voxels first; its header is changed in ElementDataFile alone."""
    lines = mhd.read_text(encoding="utf-8").splitlines()
    where = [i for i, line in enumerate(lines) if line.partition("=")[0].strip() == _DATA_FILE]
    data = Path(lines[where[-1]].partition("=")[2].strip()) if where else Path()
    if not (mhd.parent / data).is_file():
        raise InputError(f"{mhd}: {_DATA_FILE} {str(data)!r} is not a file beside it", remedy="write the mask again")
    renamed = f"{name}{data.suffix}"
    shutil.copyfile(mhd.parent / data, stage / renamed)
    lines[where[-1]] = f"{_DATA_FILE} = {renamed}"
    (stage / f"{name}.mhd").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [renamed, f"{name}.mhd"]


def _physical(volume: Volume) -> NDArray[Any] | ScaledVoxels:
    """[I, J, K] of the first channel in physical units."""
    if volume.channels > 1:
        logger.warning("%s: %d channels, the first one is published", volume.path, volume.channels)
    stored: NDArray[Any] = volume.data[0]
    plain = volume.slope == 1.0 and volume.inter == 0.0
    if plain and stored.dtype.name in _AS_STORED:
        return stored
    return ScaledVoxels(stored, volume.slope, volume.inter)
