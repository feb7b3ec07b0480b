"""Remove an entry that `models add` wrote, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from gpu_infer.errors import ConfigError
from gpu_infer.repository.entry import CONFIG, MARK
from gpu_infer.repository.lock import locked_repository
from gpu_infer.triton.model.name import check_model_name


def remove_entry(repository: Path, name: str) -> Path:
    """Delete the entry's files and its folder; return the folder.

    Raises ConfigError, before anything is deleted, if the folder is missing, was not written by `models add`, or has
    other files.
    """
    check_model_name(name)
    folder = repository / name
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", remedy=f"gpu-infer models list --models {repository}")
    with locked_repository(repository):
        for path in files_of_entry(folder):
            path.unlink()
        for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
            path.rmdir()
        folder.rmdir()
    return folder


def files_of_entry(folder: Path) -> list[Path]:
    """The files of an entry; ConfigError unless `models add` wrote all that is in the folder."""
    remedy = "remove it by hand if it is no longer needed"
    if folder.is_symlink() or not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder that `gpu-infer models add` wrote", remedy=remedy)
    try:
        first = (folder / CONFIG).read_text(encoding="utf-8").partition("\n")[0]
        listed = [PurePosixPath(str(name)) for name in json.loads(first.removeprefix(MARK))]
    except (OSError, ValueError, TypeError):
        listed = None
    if listed is None or not first.startswith(MARK):
        raise ConfigError(f"{folder} was not written by `gpu-infer models add`", remedy=remedy)
    known = {folder / CONFIG, *(folder / path for path in listed)}
    others = sorted(p for p in folder.rglob("*") if p not in known and (p.is_symlink() or not p.is_dir()))
    if others:
        raise ConfigError(
            f"{folder} has a file that `gpu-infer models add` did not write: {others[0].relative_to(folder)}",
            remedy=remedy,
        )
    return [path for path in known if path.is_symlink() or path.is_file()]
