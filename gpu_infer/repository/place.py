"""Put an entry into a repository: complete, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.repository.lock import PARTIAL, locked_repository
from gpu_infer.repository.remove import check_entry_files
from gpu_infer.triton.model.name import check_model_name


def place_entry(repository: Path, name: str, write: Callable[[Path], None], *, replace: bool) -> Path:
    """Call `write` with a new folder, then rename that to repository/name; return the path.

    Raises ConfigError for a name that no model can have, an entry that exists (unless `replace`) and a repository that
    is itself a model; ResourceError if the folder cannot be written.
    """
    check_model_name(name)
    if name.startswith("."):
        raise ConfigError(f"model name {name!r} begins with a dot", remedy="choose another name")
    if (repository / "config.pbtxt").is_file():
        raise ConfigError(
            f"{repository} is a model, not a model repository", remedy=f"give its parent, {repository.resolve().parent}"
        )
    target = repository / name
    with locked_repository(repository):
        if os.path.lexists(target) and not replace:
            raise ConfigError(f"{target} exists already", remedy="choose another name, or give --replace")
        if replace and os.path.lexists(target):
            check_entry_files(target)  # refuses whatever `models add` has not written
        try:
            with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=repository) as hidden:
                new = Path(hidden, "new")
                new.mkdir()
                write(new)
                if target.is_dir():
                    target.rename(Path(hidden, "old"))
                try:
                    new.rename(target)
                except BaseException:
                    if Path(hidden, "old").is_dir():
                        Path(hidden, "old").rename(target)
                    raise
        except OSError as error:
            raise ResourceError(
                f"{target} cannot be written: {error.strerror or error}", remedy="check space and rights of the folder"
            ) from error
    return target
