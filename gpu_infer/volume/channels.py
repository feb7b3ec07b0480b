"""Which files of the input folder are the channels of the volume."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.files import unreadable
from gpu_infer.volume.input_files import EXTENSIONS, check_exists, choose_input, extension


def choose_files(path: Path, patterns: Sequence[str]) -> list[Path]:
    """The files to read with `read_volumes`: one per pattern, in the order of the patterns; without patterns the one
    that `choose_input` takes.

    A pattern (`*_t1.nii.gz`, or a plain name) must fit exactly one volume of the folder `path`, and each volume one
    pattern. Raises `InputError`, which lists what is there.
    """
    if not patterns:
        return [choose_input(path)]
    check_exists(path)
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder with the files {', '.join(patterns)}",
            remedy="give the folder, or take `files` out of the configuration's LoadNifti",
        )
    try:
        names = sorted(e.name for e in path.iterdir() if e.is_file() and not e.name.startswith("."))
    except PermissionError:
        raise InputError(f"{path}: permission denied", remedy="let this user read the input folder") from None
    except OSError as error:
        raise unreadable(path, error) from None
    volumes = [name for name in names if extension(Path(name)) in EXTENSIONS]
    chosen: list[Path] = []
    for pattern in patterns:
        fitting = [name for name in volumes if fnmatchcase(name, pattern)]
        if len(fitting) != 1:
            raise InputError(
                f"{path}: expected one file {pattern}, found {', '.join(fitting) or 'none'}",
                remedy=f"volumes there: {', '.join(volumes) or 'none'}",
            )
        if path / fitting[0] in chosen:
            raise InputError(
                f"{path}: {fitting[0]} fits {patterns[chosen.index(path / fitting[0])]} and {pattern}",
                remedy="make the patterns of LoadNifti's `files` narrower",
            )
        chosen.append(path / fitting[0])
    return chosen
