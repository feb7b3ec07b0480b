"""Files with one name for all cases, as config.meta: before a run replaces that of another case, it gets a name of its
own, `<case>.config.meta`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from gpu_infer.volume.input_files import base_name
from gpu_infer.writers.names import name_of_case
from gpu_infer.writers.older_files import OlderFiles
from gpu_infer.writers.places import META_NAME, RENDER_NAME
from gpu_infer.writers.recognise import is_meta, is_render_settings

log = logging.getLogger(__name__)


def rename_meta(stage: Path, folder: Path, density: str) -> OlderFiles:
    """Copy config.meta and config_render.json of another case into `stage`, under names with that case.

    The copy of config.meta names the copy of config_render.json. Such files of the case that is published now are
    obsolete. The caller has the lock of `folder`.

    Args:
        stage: of the new files.
        folder: the publish folder.
        density: file name of the volume of the new config.meta, which tells cases apart.

    Raises `OSError`.
    """
    older = OlderFiles()
    meta = folder / META_NAME
    other = _density(meta)
    if other is not None and other != density:
        older.names.extend(_copy_meta(stage, meta, other))
        log.info("%s: that of case %s is now %s", meta, base_name(Path(other)), older.names[-1])
    own = _meta_of(folder, density)
    if own.is_file():
        older.obsolete.append(own.name)
        if (render := _own_render(own)) is not None:
            older.obsolete.append(render.name)
    return older


def rename_file(stage: Path, path: Path, case: str, case_of: Callable[[Path], str | None]) -> OlderFiles:
    """As `rename_meta`, for one file that does not change.

    Args:
        stage: of the new files.
        path: the older file, or nothing.
        case: of the new file.
        case_of: returns the case of an existing file, None for a file of another program.

    Raises `OSError`.
    """
    older = OlderFiles()
    other = case_of(path) if path.is_file() else None
    if other is not None and other != case:
        name = free_name(path.parent, other, path.name, lambda file: case_of(file) == other)
        try:
            os.link(path, stage / name)
        except OSError:  # a file system without links
            shutil.copy2(path, stage / name)
        older.names.append(name)
        log.info("%s: that of case %s is now %s", path, other, name)
    own = free_name(path.parent, case, path.name, lambda file: case_of(file) == case)
    if (path.parent / own).is_file():
        older.obsolete.append(own)
    return older


def _copy_meta(stage: Path, meta: Path, density: str) -> list[str]:
    """Copy a config.meta and its config_render.json; returns their new names, that of config.meta last."""
    place = _meta_of(meta.parent, density)
    replaced = _own_render(place) if place.is_file() else None
    content, names = _read(meta), []
    render = meta.with_name(RENDER_NAME)
    if content["settings"] == RENDER_NAME and render.is_file():
        content["settings"] = free_name(
            meta.parent, base_name(Path(density)), RENDER_NAME, lambda path: path == replaced
        )
        shutil.copy(render, stage / content["settings"])
        names.append(content["settings"])
    text = json.dumps(content, indent=4, sort_keys=True) + "\n"
    (stage / place.name).write_text(text, encoding="utf-8")
    shutil.copymode(meta, stage / place.name)
    return [*names, place.name]


def _meta_of(folder: Path, density: str) -> Path:
    """The place of the config.meta with the volume `density` under the name of its case."""
    return folder / free_name(folder, base_name(Path(density)), META_NAME, lambda path: _density(path) == density)


def _own_render(meta: Path) -> Path | None:
    """The config_render.json with the name of a case that `meta` names."""
    name = str(_read(meta)["settings"])
    path = meta.parent / name
    is_own = name.endswith(f".{RENDER_NAME}") and path.parent == meta.parent and _is_plain_file(path)
    return path if is_own and is_render_settings(path) else None


def free_name(folder: Path, case: str, name: str, is_same: Callable[[Path], bool]) -> str:
    """Return `<case>.<name>`, with a number if a file of that name exists for which `is_same` is false."""
    names = (name_of_case(case, name, number) for number in count(1))
    return next(
        each
        for each in names
        if not os.path.lexists(folder / each) or (_is_plain_file(folder / each) and is_same(folder / each))
    )


def _density(meta: Path) -> str | None:
    """The volume that a config.meta names; None for a missing file, or one of another program."""
    if not _is_plain_file(meta) or not is_meta(meta):
        return None
    content = _read(meta)
    try:
        density = content["density"] if "density" in content else content["data"][0]["file"]
    except (KeyError, IndexError, TypeError):
        return None
    return density if isinstance(density, str) and Path(density).name == density else None


def _read(meta: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(meta.read_bytes())
    return content


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
