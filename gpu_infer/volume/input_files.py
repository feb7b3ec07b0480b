"""Which files of the input folder are the volume and its channels."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.files import file_size, unreadable

log = logging.getLogger(__name__)

EXTENSIONS = (".nii.gz", ".nii", ".mhd", ".mha", ".nrrd", ".nhdr")
PAIRED = (
    ".hdr",
    ".img",
)  # accepted by name, never picked from a folder: other tools leave .hdr files of their own
_EXPECTED = ", ".join(EXTENSIONS) + " or a DICOM series"
_ARCHIVE, _DICOMDIR = ".zip", "DICOMDIR"
_NAMED = 4


@dataclass(frozen=True)
class FolderChoice:
    """Which volume of a folder is the input, if the folder has several.

    first     the first by name, with a warning; False: none, the folder is refused
    outputs   of volumes in one folder, those that this program has written; they do not count beside others
    warnings  receives a line about the choice
    """

    first: bool = False
    outputs: Callable[[Sequence[Path]], Collection[Path]] = lambda _: ()
    warnings: list[str] = field(default_factory=list)


def choose_input(path: Path, choice: FolderChoice | None = None) -> Path:
    """Return the file to read, or the folder of a DICOM series or study.

    A file is the input itself. Of a folder, it is the only supported file, or what `choice` takes of several; if there
    is none, the folder itself or its only sub-folder, if it has a DICOM series; else the folder, if there is a series
    deeper. Hidden files do not count. Raises `InputError` if there is no volume, if there are several and no choice, or
    if a file has an extension that no reader takes.
    """
    try:
        check_exists(path)
        if path.is_file():
            if extension(path) is None and not (is_archive(path) or is_dicomdir(path)):
                raise InputError(
                    f"{path}: unsupported extension, expected {_EXPECTED}",
                    remedy="convert the volume; of a DICOM series give the folder, a zip or the DICOMDIR",
                )
            return path
        return _in_folder(path, choice or FolderChoice())
    except PermissionError as error:
        raise InputError(
            f"{error.filename or path}: permission denied", remedy="let this user read the input folder"
        ) from None
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from None


def check_exists(path: Path) -> None:
    """Raise `InputError` if `path` does not exist, or is neither a regular file nor a folder.

    Permissions are not checked.
    """
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            file_size(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path}: no such file or folder", remedy="check the input path or the container's mounts"
        ) from None
    except PermissionError:
        return  # the error of `choose_input` names the folder that cannot be entered
    except (OSError, ValueError) as error:  # a link loop, a name that no file can have
        raise unreadable(path, error) from None


def is_archive(path: Path) -> bool:
    """Whether the name of `path` is that of a zip archive."""
    return path.name.lower().endswith(_ARCHIVE) and len(path.name) > len(_ARCHIVE) and not path.is_dir()


def is_dicomdir(path: Path) -> bool:
    """Whether `path` is the directory file of a DICOM medium, by its name."""
    return path.name.upper() == _DICOMDIR and path.is_file()


def base_name(path: Path) -> str:
    """Return the file name without its (double) extension; of a folder, its name."""
    known = extension(path)
    return path.name[: -len(known)] if known else (path.name or "volume")


def header_file(path: Path) -> Path:
    """Return the file with the header of the file `path`: of the .img of a pair, its .hdr."""
    if path.suffix.lower() != ".img":
        return path
    return path.with_suffix(".hdr" if path.suffix.islower() else ".HDR")


def extension(path: Path) -> str | None:
    """Return the supported extension at the end of the name, in lower case, or None."""
    name = path.name.lower()
    return next((e for e in (*EXTENSIONS, *PAIRED) if name.endswith(e) and len(name) > len(e)), None)


def _in_folder(folder: Path, choice: FolderChoice) -> Path:
    entries = sorted((e for e in folder.iterdir() if not e.name.startswith(".")), key=lambda e: e.name)
    volumes = [e for e in entries if e.is_file() and extension(e) in EXTENSIONS]
    if volumes:
        return _of_several(folder, volumes, choice)
    from gpu_infer.volume.formats.dicom.series import holds_series

    candidates = [folder, *(e for e in entries if e.is_dir())]
    for candidate in candidates[: 2 if len(candidates) == 2 else 1]:
        if holds_series(candidate):
            return candidate
    from gpu_infer.volume.formats.dicom.study import holds_study

    if holds_study(folder):
        return folder
    raise InputError(f"{folder}: No supported input file found (expected {_EXPECTED})")


def _of_several(folder: Path, volumes: Sequence[Path], choice: FolderChoice) -> Path:
    """The volume that `choice` takes. Raises `InputError` without one."""
    outputs = choice.outputs(volumes)
    inputs = [volume for volume in volumes if volume not in outputs] or list(volumes)
    if len(inputs) < len(volumes):
        log.info("%s: outputs of earlier runs are no inputs: %s", folder, _names(sorted(outputs)))
    if len(inputs) == 1:
        _warn_of_output(inputs[0], outputs, choice)
        return inputs[0]
    if not choice.first:
        raise InputError(
            f"{folder}: found {len(inputs)} volumes, expected one: {_names(inputs)}",
            remedy="give the file; --first takes the first one, gpu-infer batch segments all of them",
        )
    note = f"the first of {len(inputs)} volumes in the folder, the others are not read: {_names(inputs[1:])}"
    log.warning("%s: %s", inputs[0], note)
    choice.warnings.append(note)
    return inputs[0]


def _warn_of_output(path: Path, outputs: Collection[Path], choice: FolderChoice) -> None:
    if path in outputs:
        note = "a label map that gpu_infer wrote, the only volume in the folder (name it with --input if it is meant)"
        log.warning("%s: %s", path, note)
        choice.warnings.append(note)


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(path.name for path in paths[:_NAMED]) + more


def choose_files(path: Path, patterns: Sequence[str], choice: FolderChoice | None = None) -> list[Path]:
    """Return the files to read with `read_header`: one per pattern, in the order of the patterns.

    A pattern (`*_t1.nii.gz`, or a plain name) must match exactly one volume of the folder `path`, and each volume one
    pattern. Without patterns, the list has the one volume that `choose_input` returns. Raises `InputError`, which lists
    the volumes in the folder.
    """
    if not patterns:
        return [choose_input(path, choice)]
    check_exists(path)
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder with the files {', '.join(patterns)}",
            remedy="give the folder, or take `files` out of the configuration's LoadNifti",
        )
    volumes = [name for name in _file_names(path) if extension(Path(name)) in EXTENSIONS]
    chosen: list[Path] = []
    for pattern in patterns:
        matches = [name for name in volumes if fnmatchcase(name, pattern)]
        if len(matches) != 1:
            raise InputError(
                f"{path}: expected one file {pattern}, found {', '.join(matches) or 'none'}",
                remedy=f"volumes there: {', '.join(volumes) or 'none'}",
            )
        if path / matches[0] in chosen:
            raise InputError(
                f"{path}: {matches[0]} fits {patterns[chosen.index(path / matches[0])]} and {pattern}",
                remedy="make the patterns of LoadNifti's `files` narrower",
            )
        chosen.append(path / matches[0])
    return chosen


def _file_names(folder: Path) -> list[str]:
    """Names of the files in `folder` that are not hidden, sorted."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except PermissionError:
        raise InputError(f"{folder}: permission denied", remedy="let this user read the input folder") from None
    except OSError as error:
        raise unreadable(folder, error) from None
