"""An input folder in which the first volume is a label map of an earlier run."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import EXTENSIONS, extension
from gpu_infer.writers.formats.registry import FORMATS

_UNMARKED = "mhd"
"""Its header has no mark: a plain one may be of any program."""


def check_own_input(settings: Settings, pipeline: Pipeline, header: VolumeHeader) -> list[str]:
    """A warning if the volume that was taken from a folder is a label map of ours; none if the user named it.

    Raises InputError if the folder has another volume, which is meant then.
    """
    folder, taken = settings.input, header.path
    if not folder.is_dir() or pipeline.input_files or header.format == "dicom" or not _is_label_map(taken):
        return []
    volumes = [path for path in sorted(folder.iterdir()) if extension(path) in EXTENSIONS and path.is_file()]
    others = [path.name for path in volumes if not path.name.startswith(".") and not _is_label_map(path)]
    if others:
        raise InputError(
            f"{folder}: the first volume is {taken.name}, a label map that gpu_infer wrote, expected a volume to "
            f"segment, such as {others[0]}",
            remedy="name the volume with --input, or move the label map away",
        )
    return [f"{taken}: is a label map that gpu_infer wrote (name the volume with --input)"]


def _is_label_map(path: Path) -> bool:
    forms = [form for name, form in FORMATS.items() if name != _UNMARKED and path.name.endswith(f".{name}")]
    try:
        return any(form.is_ours(path) for form in forms)
    except OSError:  # not readable by this user
        return False
