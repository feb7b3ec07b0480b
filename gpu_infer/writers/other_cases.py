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
from gpu_infer.writers.kept import Kept
from gpu_infer.writers.names import name_of_case
from gpu_infer.writers.places import META_NAME, RENDER_NAME
from gpu_infer.writers.recognise import is_meta, is_render_settings

log = logging.getLogger(__name__)


def keep_meta(stage: Path, folder: Path, density: str) -> Kept:
    """Copy config.meta and config_render.json of another case into `stage`, under names with that case.

    The copy of config.meta names the copy of config_render.json. Such files of the case that is published now are
    obsolete. The caller has the lock of `folder`.

    Args:
        stage: of the new files.
        folder: the publish folder.
        density: file name of the volume of the new config.meta, which tells cases apart.

    Raises `OSError`.
    """
    kept = Kept()
    meta, other = folder / META_NAME, _density(folder / META_NAME)
    if other is not None and other != density:
        case = base_name(Path(other))
        meta_name = free_name(folder, case, META_NAME, lambda path: _density(path) == other)
        content = json.loads(meta.read_bytes())
        render = folder / RENDER_NAME
        if content["settings"] == RENDER_NAME and render.is_file():
            content["settings"] = free_name(folder, case, RENDER_NAME, is_render_settings)
            shutil.copy(render, stage / content["settings"])
            kept.names.append(content["settings"])
        text = json.dumps(content, indent=4, sort_keys=True) + "\n"
        (stage / meta_name).write_text(text, encoding="utf-8")
        shutil.copymode(meta, stage / meta_name)
        kept.names.append(meta_name)
        log.info("%s: those of case %s stay as %s", meta, case, " and ".join(kept.names))
    own_meta = free_name(folder, base_name(Path(density)), META_NAME, lambda path: _density(path) == density)
    if _density(folder / own_meta) == density:
        render_name = str(json.loads((folder / own_meta).read_bytes())["settings"])
        render = folder / render_name
        is_own = render_name.endswith(f".{RENDER_NAME}") and render.parent == folder and _is_plain_file(render)
        kept.obsolete.append(own_meta)
        if is_own and is_render_settings(render):
            kept.obsolete.append(render_name)
    return kept


def keep_file(stage: Path, path: Path, case: str, case_of: Callable[[Path], str | None]) -> Kept:
    """As `keep_meta`, for one file that is not changed.

    Args:
        stage: of the new files.
        path: the older file, or nothing.
        case: of the new file.
        case_of: returns the case of an existing file, None for a file of another program.

    Raises `OSError`.
    """
    kept = Kept()
    other = case_of(path) if path.is_file() else None
    if other is not None and other != case:
        name = free_name(path.parent, other, path.name, lambda file: case_of(file) == other)
        try:
            os.link(path, stage / name)
        except OSError:  # a file system without links
            shutil.copy2(path, stage / name)
        kept.names.append(name)
        log.info("%s: that of case %s stays as %s", path, other, name)
    own = free_name(path.parent, case, path.name, lambda file: case_of(file) == case)
    if (path.parent / own).is_file():
        kept.obsolete.append(own)
    return kept


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
    content: dict[str, Any] = json.loads(meta.read_bytes())
    try:
        density = content["density"] if "density" in content else content["data"][0]["file"]
    except (KeyError, IndexError, TypeError):
        return None
    return density if isinstance(density, str) and Path(density).name == density else None


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
