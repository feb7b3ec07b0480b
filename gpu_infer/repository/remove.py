"""Remove an entry that `models add` wrote, and nothing else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path, PurePosixPath

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.repository.entry import CONFIG, MARK
from gpu_infer.repository.lock import PARTIAL, locked_repository
from gpu_infer.triton.model.name import check_model_name


def remove_entry(repository: Path, name: str) -> Path:
    """Delete the entry's files and its folder; return the folder.

    Raises ConfigError, before anything is deleted, if the folder is missing, was not written by `models add`, or has
    other files; ResourceError if the repository cannot be written.
    """
    check_model_name(name)
    folder = repository / name
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", remedy=f"gpu-infer models list --models {repository}")
    with locked_repository(repository):
        check_entry_files(folder)  # refuses whatever `models add` has not written
        try:
            with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=repository) as hidden:
                folder.rename(Path(hidden, "old"))  # a process that is killed now leaves no half of an entry
        except OSError as error:
            raise ResourceError(
                f"{folder} cannot be removed: {error.strerror or error}", remedy="check the rights of the repository"
            ) from error
    return folder


def check_entry_files(folder: Path) -> None:
    """Raise ConfigError unless `models add` wrote all that is in the folder."""
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
    outside = next((path for path in listed if path.is_absolute() or ".." in path.parts), None)
    if outside is not None:
        raise ConfigError(f"{folder / CONFIG} names a file outside the entry: {outside}", remedy=remedy)
    known = {folder / CONFIG, *(folder / path for path in listed)}
    others = sorted(p for p in folder.rglob("*") if p not in known and (p.is_symlink() or not p.is_dir()))
    if others:
        raise ConfigError(
            f"{folder} has a file that `gpu-infer models add` did not write: {others[0].relative_to(folder)}",
            remedy=remedy,
        )
