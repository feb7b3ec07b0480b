"""Names of the files that a run writes, limited to what their text formats can contain."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path

_LEADING = " :=~"
"""MetaIO drops these characters at the start of ElementDataFile, or gives them a meaning."""

_STEM_BYTES = 200
_MOST_BYTES = 255
_CAPTURES = ".sc"


def voxel_stem(name: str) -> str:
    """Return `name`, or a substitute if ElementDataFile of a MetaImage cannot contain it.

    Readers take LIST… for a list, % for a pattern, \\ for a folder, and drop blanks at the ends; a line break would
    begin a new header line. Such characters become _. A digest of `name` is added, because two names could otherwise
    become equal.
    """
    stem = "".join(_printable(character) for character in name)
    if stem[:1] in _LEADING or stem.upper().startswith("LIST"):
        stem = f"_{stem[1:] if stem[:1] in _LEADING else stem}"
    if stem == name:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{stem.encode()[:_STEM_BYTES].decode(errors='ignore')}-{digest}"


def published_name(name: str) -> str:
    """Return `name`, or its `voxel_stem` if JSON (bytes that are not UTF-8) or ITK (\\ in a path) cannot contain it."""
    is_plain = "\\" not in name and not any(unicodedata.category(c) == "Cs" for c in name)
    return name if is_plain else voxel_stem(name)


def label_map_names(base: str, fields: list[str]) -> dict[str, str]:
    """Return file names without extension by field: `base` for a single field, `<base>.<field>` for several."""
    return {field: base if len(fields) == 1 else f"{base}.{field}" for field in fields}


def preview_name(base: str) -> str:
    """File name of the preview of the case `base`."""
    return f"{base}.preview.png"


def plain_preview_name(base: str) -> str:
    """File name of the preview without contours of the case `base`."""
    return f"{base}.plain-preview.png"


def name_of_case(case: str, name: str, number: int = 1) -> str:
    """Return `<case>.<name>`, from 2 on `<case>-<number>.<name>`; a long case is cut, with a digest of it."""
    end = f"{f'-{number}' if number > 1 else ''}.{name}"
    whole = os.fsencode(case)
    most = _MOST_BYTES - len(os.fsencode(end))
    if len(whole) <= most:
        return f"{case}{end}"
    digest = f"-{hashlib.sha256(whole).hexdigest()[:8]}"
    return f"{whole[: most - len(digest)].decode(errors='ignore')}{digest}{end}"


def captures_folder(folder: Path, name: str) -> Path:
    """Return the folder of the secondary captures of the label map `name`, which are one file per slice."""
    return folder / f"{name}{_CAPTURES}"


def capture_folders(folder: Path) -> list[Path]:
    """Return all folders in `folder` that `captures_folder` may have named, sorted."""
    try:
        return sorted(path for path in folder.glob(f"*{_CAPTURES}") if path.is_dir() and not path.is_symlink())
    except OSError:  # a folder that cannot be read, which is reported elsewhere
        return []


def _printable(character: str) -> str:
    if character == " ":
        return character
    return "_" if character in "%\\" or unicodedata.category(character)[0] in "CZ" else character
