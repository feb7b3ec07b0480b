"""Which file of the input folder is the volume."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.files import file_size, unreadable

logger = logging.getLogger(__name__)

EXTENSIONS = (".nii.gz", ".nii", ".mhd", ".mha", ".nrrd", ".nhdr")
PAIRED = (
    ".hdr",
    ".img",
)  # accepted by name, never picked from a folder: other tools leave .hdr files of their own
_EXPECTED = ", ".join(EXTENSIONS) + " or a DICOM series"


def choose_input(path: Path) -> Path:
    """The file to read, or the folder of a DICOM series.

    A file is taken as it is. In a folder the first supported file by name counts; without one, the folder
    itself or its only sub-folder, if a DICOM series is in it. Hidden files do not count. Raises `InputError`
    when there is nothing, or when a file has an extension that no reader takes.
    """
    try:
        check_exists(path)
        if path.is_file():
            if extension(path) is None:
                raise InputError(
                    f"{path}: unsupported extension, expected {_EXPECTED}",
                    remedy="convert the volume; of a DICOM series give the folder",
                )
            return path
        return _in_folder(path)
    except PermissionError as error:
        raise InputError(
            f"{error.filename or path}: permission denied", remedy="let this user read the input folder"
        ) from None
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from None


def check_exists(path: Path) -> None:
    """Raise `InputError` if nothing has this name, or what has it is neither a regular file nor a folder.

    Whether it can be read is another matter.
    """
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            file_size(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path}: no such file or folder", remedy="check the input path or the container's mounts"
        ) from None
    except PermissionError:
        return  # `choose_input` names the folder that cannot be entered
    except (OSError, ValueError) as error:  # a link loop, a name that no file can have
        raise unreadable(path, error) from None


def base_name(path: Path) -> str:
    """File name without its (double) extension; a folder's own name."""
    known = extension(path)
    return path.name[: -len(known)] if known else (path.name or "volume")


def extension(path: Path) -> str | None:
    """The supported extension that the name ends in, in lower case."""
    name = path.name.lower()
    return next((e for e in (*EXTENSIONS, *PAIRED) if name.endswith(e) and len(name) > len(e)), None)


def _in_folder(folder: Path) -> Path:
    entries = sorted((e for e in folder.iterdir() if not e.name.startswith(".")), key=lambda e: e.name)
    volumes = [e for e in entries if e.is_file() and extension(e) in EXTENSIONS]
    if volumes:
        if len(volumes) > 1:
            others = ", ".join(v.name for v in volumes[1:4]) + (", …" if len(volumes) > 4 else "")
            logger.warning("%s: %d volumes, taking %s, not %s", folder, len(volumes), volumes[0].name, others)
        return volumes[0]
    from gpu_infer.volume.formats.dicom.series import holds_series

    candidates = [folder, *(e for e in entries if e.is_dir())]
    for candidate in candidates[: 2 if len(candidates) == 2 else 1]:
        if holds_series(candidate):
            return candidate
    raise InputError(f"No supported input file found ({folder}: expected {_EXPECTED})")
