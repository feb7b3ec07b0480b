"""Recognise an output folder that is meant as a file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.volume.input_files import extension


def check_output_folder(folder: Path) -> None:
    """Raise ConfigError for an output folder that is a file or below one, or that has the name of a volume's file."""
    check_is_no_file(folder)
    ending = extension(folder)
    if ending is not None and not folder.is_dir():
        raise ConfigError(
            f"--output: found {str(folder)!r}, a file name that ends with {ending}, expected a folder",
            remedy="give a folder, for example --output out: the label map gets the name of the input and is a "
            ".mhd with a .raw",
        )


def check_is_no_file(folder: Path, option: str = "--output") -> None:
    """Raise ConfigError for the folder of an option that is a file or below one."""
    if (obstacle := _obstacle(folder)) is not None:
        raise ConfigError(
            f"{option}: found {str(folder)!r}, but {obstacle} is a file, expected a folder",
            remedy=f"give a folder, for example {option} {option.removeprefix('--').replace('output', 'out')}; it is "
            "made if missing",
        )


def _obstacle(folder: Path) -> Path | None:
    """The regular file at the path of the folder or of a parent; None if there is none, or if it cannot be seen."""
    with suppress(OSError, ValueError):  # no permission, name too long, null character: the run reports these
        return next((place for place in (folder, *folder.parents) if place.is_file()), None)
    return None
