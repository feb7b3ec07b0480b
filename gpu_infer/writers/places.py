"""Places of the files that a run writes, and which older files there may be replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import base_name, extension
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import check_is_file
from gpu_infer.writers.names import published_name, voxel_stem
from gpu_infer.writers.recognise import is_copy, is_header, is_meta, is_preview, is_render_settings, is_voxels
from gpu_infer.writers.staging import HIDDEN_BYTES

META_NAME = "config.meta"
RENDER_NAME = "config_render.json"


@dataclass(frozen=True)
class Place:
    """One file that will be written.

    kind     of an older output in this place, for the error line
    option   that names the folder
    is_ours  tests whether a regular file at `path` is an older output
    source   the file that is copied to `path`; if it is already there, no copy is needed
    """

    path: Path
    kind: str
    option: str
    is_ours: Callable[[Path], bool]
    source: Path | None = None


def metaimage_places(folder: Path, name: str, option: str) -> list[Place]:
    """Places of the header and the voxels of a MetaImage; a `.zraw` is replaced only if an older header names it."""
    header = folder / f"{name}.mhd"
    voxels = folder / f"{voxel_stem(name)}.raw"
    return [
        Place(header, "a plain MetaImage header", option, is_header),
        Place(voxels, f"the voxels of {header.name}", option, partial(is_voxels, header=header)),
    ]


def publish_places(
    folder: Path, base: str, masks: Sequence[str], copies: Iterable[Path], render_settings: Path | None
) -> list[Place]:
    """Places in the publish folder: the volume, the label maps `masks` by name, `copies`, and the renderer's files.

    `render_settings` is the file that is copied, None if its content is made.
    """
    density, *_ = places = metaimage_places(folder, published_name(base), "publish")
    for mask in published_masks(base, masks):
        places += metaimage_places(folder, mask, "publish")
    files = list(copies)
    names = copy_names(base, files)
    for file in files:
        is_ours = partial(is_copy, source=file, density=density.path)
        places.append(Place(folder / names[file], "a copy of the input", "publish", is_ours, file))
    settings = folder / RENDER_NAME
    places.append(Place(settings, "settings of a renderer", "publish", is_render_settings, render_settings))
    places.append(Place(folder / META_NAME, "a config.meta of a renderer", "publish", is_meta))
    return places


def published_masks(base: str, masks: Sequence[str]) -> list[str]:
    """Return the name without extension of each label map in the publish folder."""
    names = [base] if len(masks) == 1 else masks
    return [published_name(f"{name}.out") for name in names]


def copy_names(base: str, files: Sequence[Path]) -> dict[Path, str]:
    """Return the names of the copies of `files` in the publish folder.

    They are the files' own, unless the case has a name of its own: then two inputs may have one file name.
    """
    stems = {base_name(file) for file in files}
    if not files or base in stems:
        return {file: file.name for file in files}
    if len(stems) == 1:
        return {file: f"{published_name(base)}{extension(file) or file.suffix}" for file in files}
    return {file: f"{published_name(base)}.{file.name}" for file in files}


def files_to_copy(volume: Volume | VolumeHeader) -> tuple[Path, ...]:
    """Files of the input that are published unchanged: those of a NIfTI volume."""
    return (volume.files or (volume.path,)) if volume.format == "nifti" else ()


def preview_place(path: Path) -> Place:
    """Place of the preview."""
    return Place(path, "a preview of an older run", "output", is_preview)


def check_places(places: Iterable[Place], inputs: Iterable[Path] = ()) -> None:
    """Raise an error for the first place that cannot be used; no file changes.

    Args:
        places: of the files that will be written.
        inputs: every file that the run reads; none of them is replaced, under any name.

    Raises:
        ConfigError: in a place is a folder, link, device, another program's file, or a file of `inputs`.
        OSError: a file cannot be examined.
    """
    protected = {_identity(file.stat()): file for file in inputs if file.exists()}
    for place in places:
        try:
            status = place.path.lstat()
        except FileNotFoundError:
            continue
        if is_in_place(place):
            continue
        source = protected.get(_identity(status))
        if source is not None:
            relation = "is the input itself" if source == place.path else f"is the input file {source}"
            raise ConfigError(
                f"{place.path}: {relation} (or an older result taken for it) and would be replaced",
                remedy=f"give another folder with --{place.option}, or name the input file with --input",
            )
        check_is_file(place.path)
        if not place.is_ours(place.path):
            raise ConfigError(
                f"{place.path}: found a file of another program, expected none or {place.kind}",
                remedy=f"move it away, or give another folder with --{place.option}",
            )


def check_name(place: Place) -> None:
    """Raise `InputError` if the name or the path is too long, also in the hidden folder where the file is written."""
    folder, name = place.path.parent.absolute(), place.path.name
    existing = next((path for path in (folder, *folder.parents) if _exists(path)), Path("/"))
    path = folder / f"{'x' * HIDDEN_BYTES}" / name
    for nbytes, kind, most in (
        (len(os.fsencode(name)), "name", os.pathconf(existing, "PC_NAME_MAX")),
        (len(os.fsencode(path)) + 1, "path", os.pathconf(existing, "PC_PATH_MAX")),
    ):
        if nbytes > most:
            raise InputError(
                f"{place.path}: {nbytes} bytes in the {kind} of an output, expected at most {most}",
                remedy="give a shorter name with --name (or --output, if it names the file), or another folder with "
                f"--{place.option}",
            )


def is_in_place(place: Place) -> bool:
    """Whether the file to copy is already in its place, under this name or as another link to it."""
    if place.source is None or place.path.is_symlink():
        return False
    return place.path.is_file() and place.source.is_file() and place.path.samefile(place.source)


def _exists(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # the path is too long, or this user may not enter a folder above it
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
