"""What `--output` names: a folder, or the file of the label map."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from gpu_infer.choices import Format
from gpu_infer.errors import ConfigError
from gpu_infer.volume.input_files import extension
from gpu_infer.writers.output_folder import check_is_no_file

_FORMATS: tuple[Format, ...] = tuple(sorted(get_args(Format), key=len, reverse=True))
"""Longer names first: out.seg.nrrd is not a .nrrd with the name out.seg."""


def resolve_output(output: Path, logs: Path, name: str | None, formats: tuple[Format, ...]) -> dict[str, Any]:
    """Folder, logs, name and formats of the label maps, by field of `Settings`.

    An output that ends like a file of ours is the file of the label map, and gives its folder, name and format; any
    other one, or an existing folder, is a folder. Logs that go to the output go to its folder.

    Raises `ConfigError` if `name` is not the name of a file, if `formats` has another one than the file, or if the
    extension is that of DICOM or of a format which is only read, or is not in lower case.
    """
    formats = tuple(dict.fromkeys(formats))
    if name is not None and (name in ("", ".", "..") or "/" in name or "\0" in name):
        raise ConfigError(f"output_name: found {name!r}, expected the name of a file", remedy="leave the folder out")
    if output.is_dir():
        return {"formats": formats}
    for each in _FORMATS:
        if output.name.endswith(f".{each}") and len(output.name) > len(each) + 1:
            if formats not in ((), (each,)):
                raise ConfigError(
                    f"--output: found {str(output)!r}, a .{each}, expected --format's {', '.join(formats)}",
                    remedy="leave --format out, or give a folder",
                )
            check_is_no_file(output.parent)
            folder, stem = output.parent, output.name[: -len(each) - 1]
            fields: dict[str, Any] = {"output": folder, "output_name": stem, "formats": (each,)}
            return fields | ({"logs": folder} if logs == output else {})
    if output.suffix.lower() == ".dcm":
        raise ConfigError(
            f"--output: found {str(output)!r}, the name of a DICOM file, expected a folder or a label map",
            remedy="give a folder, and --dicom-seg auto for a DICOM SEG in it",
        )
    if (ending := extension(output)) is not None:
        raise ConfigError(
            f"--output: found {str(output)!r}, a file name that ends with {output.name[-len(ending) :]}, expected a "
            "folder or a label map",
            remedy=f"give a folder, or a name that ends with .{', .'.join(get_args(Format))}",
        )
    check_is_no_file(output)
    return {"formats": formats}
