"""The places that a run's files take, and what may stand there before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import check_is_file
from gpu_infer.writers.names import label_map_names, published_name, voxel_stem
from gpu_infer.writers.recognise import is_copy, is_header, is_meta, is_preview, is_render_settings, is_voxels
from gpu_infer.writers.stages import HIDDEN_BYTES

META_NAME = "config.meta"
RENDER_NAME = "config_render.json"
PREVIEW_NAME = "preview.png"


@dataclass(frozen=True)
class Place:
    """One file that will be written.

    kind    what an older output here is, for the error line
    option  that gives the folder
    is_ours  whether a regular file at `path` is an older output
    source  the file that is copied to `path`; one that lies there already needs no copy
    """

    path: Path
    kind: str
    option: str
    is_ours: Callable[[Path], bool]
    source: Path | None = None


def metaimage_places(folder: Path, name: str, option: str) -> list[Place]:
    """Header and voxels of a MetaImage; `.zraw` is replaced only if an older header names it."""
    header = folder / f"{name}.mhd"
    voxels = folder / f"{voxel_stem(name)}.raw"
    return [
        Place(header, "a plain MetaImage header", option, is_header),
        Place(voxels, f"the voxels of {header.name}", option, partial(is_voxels, header=header)),
    ]


def label_map_places(folder: Path, base: str, fields: Sequence[str]) -> list[Place]:
    """The label maps of `fields` in the output folder."""
    names = label_map_names(base, list(fields)).values()
    return [place for name in names for place in metaimage_places(folder, name, "output")]


def publish_places(
    folder: Path, base: str, masks: Sequence[str], copies: Iterable[Path], render_settings: Path
) -> list[Place]:
    """The publish folder: the volume, the label maps `masks` by name, `copies` as they are, the renderer's files."""
    density, *_ = places = metaimage_places(folder, published_name(base), "publish")
    for mask in published_masks(base, masks):
        places += metaimage_places(folder, mask, "publish")
    for file in copies:
        is_ours = partial(is_copy, source=file, density=density.path)
        places.append(Place(folder / file.name, "a copy of the input", "publish", is_ours, file))
    settings = folder / RENDER_NAME
    places.append(Place(settings, "settings of a renderer", "publish", is_render_settings, render_settings))
    places.append(Place(folder / META_NAME, "a config.meta of a renderer", "publish", is_meta))
    return places


def published_masks(base: str, masks: Sequence[str]) -> list[str]:
    """Name without extension of each label map in the publish folder."""
    names = [base] if len(masks) == 1 else masks
    return [published_name(f"{name}.out") for name in names]


def copied_files(volume: Volume | VolumeHeader) -> tuple[Path, ...]:
    """Files of the input that are published as they are."""
    return (volume.files or (volume.path,)) if volume.format == "nifti" else ()


def preview_place(path: Path) -> Place:
    return Place(path, "a preview of an older run", "output", is_preview)


def check_places(places: Iterable[Place], inputs: Iterable[Path] = ()) -> None:
    """Raise an error for the first place that cannot be taken; nothing is changed.

    inputs  every file that the run reads; none of them is replaced, under whatever name it is found

    Raises `ConfigError` for a folder, link, device or another program's file, and for a file of `inputs`; `OSError` for
    what cannot be looked at.
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
            found = "is the input itself" if source == place.path else f"is the input file {source}"
            raise ConfigError(
                f"{place.path}: {found} (or an older result taken for it) and would be replaced",
                remedy=f"give another folder with --{place.option}, or name the input file with --input",
            )
        check_is_file(place.path)
        if not place.is_ours(place.path):
            raise ConfigError(
                f"{place.path}: found a file of another program, expected none or {place.kind}",
                remedy=f"move it away, or give another folder with --{place.option}",
            )


def check_name(place: Place) -> None:
    """Raise `InputError` for a name or path that is too long, also in the hidden folder where the file is made."""
    folder, name = place.path.parent.absolute(), place.path.name
    existing = next((path for path in (folder, *folder.parents) if _exists(path)), Path("/"))
    path = folder / f"{'x' * HIDDEN_BYTES}" / name
    for found, kind, most in (
        (len(os.fsencode(name)), "name", os.pathconf(existing, "PC_NAME_MAX")),
        (len(os.fsencode(path)) + 1, "path", os.pathconf(existing, "PC_PATH_MAX")),
    ):
        if found > most:
            raise InputError(
                f"{place.path}: {found} bytes in the {kind} of the input's output, expected at most {most}",
                remedy=f"rename the input, or give another folder with --{place.option}",
            )


def is_in_place(place: Place) -> bool:
    """Whether the file to copy lies in its place already, under this name or as another link to it."""
    if place.source is None or place.path.is_symlink():
        return False
    return place.path.is_file() and place.source.is_file() and place.path.samefile(place.source)


def _exists(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # its path is too long, or one above it closed to this user
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
