"""Fill the publish folder with what a renderer needs to show the volume with its segmentation."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from numpy.typing import DTypeLike

from gpu_infer.errors import ConfigError
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.file_state import FileState, check_unchanged
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import check_space, make_folder, open_stage
from gpu_infer.writers.atomic import publish as move_into_place
from gpu_infer.writers.copies import check_present, common_permissions, copy_file, copy_mask
from gpu_infer.writers.metaimage import HEADER_BYTES, write_pair
from gpu_infer.writers.names import published_name
from gpu_infer.writers.other_cases import rename_meta
from gpu_infer.writers.output_dtype import cast_labels
from gpu_infer.writers.places import (
    META_NAME,
    check_places,
    copy_names,
    files_to_copy,
    is_in_place,
    publish_places,
    published_masks,
)
from gpu_infer.writers.recognise import copies_comment
from gpu_infer.writers.render_settings import FILE_NAME, check_render_settings
from gpu_infer.writers.scaled import ScaledVoxels

log = logging.getLogger(__name__)

Dialect = Literal["v1", "v2", "both"]
_AS_STORED = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32")


@dataclass(frozen=True, eq=False)
class MaskLabels:
    """A label map without a .mhd in the output folder.

    name    of its files there, without extension
    labels  [I, J, K] integers on the volume's grid
    dtype   in the file
    """

    name: str
    labels: Voxels
    dtype: DTypeLike


def publish(
    volume: Volume,
    masks: Path | Sequence[Path | MaskLabels],
    model_name: str,
    folder: Path,
    render_settings: Path | str,
    *,
    dialect: Dialect = "v1",
    base: str | None = None,
    states: Mapping[Path, FileState] | None = None,
) -> list[Path]:
    """Fill `folder`, which is made if it is missing, and return its files, `config.meta` last.

    base    <name> of the files, None: the name of the volume
    states  of the volume's files when they were read: a copy of a file that has another one would be of another volume

    <name>.mhd, .raw          the input in physical units: in its stored dtype if slope and inter change nothing, else
                              int16 if all values are whole numbers in its range, else float32; of several channels the
                              first one
    <name>.nii.gz             an unchanged copy of a NIfTI input, although renderers of the time read MHD only
    <name>.out.mhd, .out.raw  the segmentation, copied from its .mhd if `masks` has one; `<its name>.out.*` for each of
                              several
    config_render.json        copied from `render_settings`, after a check, or its content
    config.meta               names of the files above, for `model_name`; dialect v1 (density, seg_masks), v2 (data:
                              file and order) or both in one file

    All files appear together or none does; older files of the same names are replaced. An input inside `folder` stays
    unchanged. The published voxels have the permissions of the input, a copied segmentation those of its .mhd.

    Raises:
        ConfigError: settings, folder, dialect, a label that does not fit its dtype, or a file of another program.
        InputError: the mask's header, or an input that does not exist any more or was replaced.
        ResourceError: the disk.
    """
    if dialect not in ("v1", "v2", "both"):
        raise ConfigError(f"publish dialect {dialect!r} unknown", remedy="choose v1, v2 or both")
    if isinstance(render_settings, Path):
        check_render_settings(render_settings)
    base = base_name(volume.path) if base is None else base
    maps = [masks] if isinstance(masks, Path) else list(masks)
    mask_names = [base_name(mask) if isinstance(mask, Path) else mask.name for mask in maps]
    copies = files_to_copy(volume)
    check_present(copies)
    render_file = render_settings if isinstance(render_settings, Path) else None
    places = publish_places(folder, base, mask_names, copies, render_file)
    make_folder(folder)
    present = {place.path.name for place in places if is_in_place(place)}
    with open_stage(folder, base) as stage:
        targets = copy_names(base, copies)
        missing = [file for file in copies if targets[file] not in present]
        density, voxels = _write_density(volume, stage, published_name(base), {file: targets[file] for file in missing})
        names = [voxels.name, density.name, *(targets[file] for file in copies)]
        for file in missing:
            copy_file(file, stage / targets[file])
        check_unchanged({file: states[file] for file in copies if file in states} if states else {})
        outs = published_masks(base, mask_names)
        for mask, out in zip(maps, outs, strict=True):
            if isinstance(mask, Path):
                names += copy_mask(mask, stage, out)
            else:
                header, data = write_pair(cast_labels(mask.labels, mask.dtype), volume.geometry, stage, out)
                names += [data.name, header.name]
        if FILE_NAME not in present:
            if isinstance(render_settings, Path):
                shutil.copyfile(render_settings, stage / FILE_NAME)
            else:
                (stage / FILE_NAME).write_text(render_settings, encoding="utf-8")
        meta = _meta(density.name, [f"{out}.mhd" for out in outs], model_name, dialect)
        text = json.dumps(meta, indent=4, sort_keys=True) + "\n"
        (stage / META_NAME).write_text(text, encoding="utf-8")
        names += [FILE_NAME, META_NAME]
        moved = [name for name in names if name not in present]
        move_into_place(
            stage,
            moved,
            folder,
            check=partial(check_places, places, volume.files),
            rename_older=partial(rename_meta, stage, folder, density.name),
        )
    return [folder / name for name in names]


def _write_density(volume: Volume, stage: Path, name: str, copies: Mapping[Path, str]) -> tuple[Path, Path]:
    voxels = _physical(volume)
    check_space(stage, voxels.nbytes + HEADER_BYTES)
    pair = write_pair(voxels, volume.geometry, stage, name, comment=copies_comment(copies) if copies else None)
    if sources := [file for file in volume.files or (volume.path,) if file.is_file()]:
        for path in pair:
            path.chmod(common_permissions(sources))
    return pair


def _meta(density: str, masks: list[str], model_name: str, dialect: Dialect) -> dict[str, object]:
    meta: dict[str, object] = {"name": model_name, "settings": FILE_NAME}
    if dialect != "v2":
        meta |= {"density": density, "seg_masks": masks}
    if dialect != "v1":
        meta["data"] = [{"file": density, "order": "DXYZ"}, *({"file": mask, "order": "MXYZ"} for mask in masks)]
    return meta


def _physical(volume: Volume) -> Voxels | ScaledVoxels:
    """Return the first channel in physical units, [I, J, K]."""
    if volume.channels > 1:
        log.warning("%s: %d channels, the first one is published", volume.path, volume.channels)
    stored: Voxels = volume.data[0]
    plain = volume.slope == 1.0 and volume.inter == 0.0
    if plain and stored.dtype.name in _AS_STORED:
        return stored
    return ScaledVoxels(stored, volume.slope, volume.inter)
