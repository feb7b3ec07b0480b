"""The cases of a folder: its volumes, in the order of their names."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.errors import InputError
from gpu_infer.settings import Settings
from gpu_infer.volume.input_files import EXTENSIONS, base_name, extension


def find_cases(source: str | Path, settings: Settings) -> list[Case]:
    """One case per volume in the folder `source`, named after its file. Raises InputError."""
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", remedy="give the folder with the volumes")
    files = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and extension(p) in EXTENSIONS)
    if not files:
        raise InputError(f"{folder}: no volumes", remedy="give the folder with the volumes")
    return [Case(base_name(file), (file,)) for file in files]
