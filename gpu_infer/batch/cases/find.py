"""The cases of a folder: its volumes, in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.errors import InputError
from gpu_infer.settings import Settings
from gpu_infer.volume.input_files import EXTENSIONS, base_name, extension


def find_cases(source: str | Path | Sequence[str | Path], settings: Settings) -> list[Case]:
    """One case per volume in the folders, or per file, named after its file. Raises InputError."""
    sources = [source] if isinstance(source, str | Path) else source
    files: list[Path] = []
    for path in map(Path, sources):
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if not p.name.startswith(".") and extension(p) in EXTENSIONS)
        else:
            files.append(path)
    if not files:
        raise InputError(f"{source}: no volumes", remedy="give the folder with the volumes")
    return [Case(base_name(file), (file.absolute(),)) for file in files]
