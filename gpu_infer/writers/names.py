"""Names of the files that a run writes, as text formats can say them."""

from __future__ import annotations

import hashlib
import os
import unicodedata

_LEADING = " :=~"
"""MetaIO drops or interprets these at the start of ElementDataFile."""

_STEM_BYTES = 200


def voxel_stem(name: str) -> str:
    """`name`, or what stands for it in ElementDataFile if MetaImage cannot say it.

    Readers take LIST… for a list, % for a pattern, \\ for a folder, and drop blanks at the ends; a line break would
    begin a header line of its own. Such characters become _, and a digest of `name` keeps two names apart that
    would then be the same.
    """
    stem = "".join(_printable(character) for character in name)
    if stem[:1] in _LEADING or stem.upper().startswith("LIST"):
        stem = f"_{stem[1:] if stem[:1] in _LEADING else stem}"
    if stem == name:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{stem.encode()[:_STEM_BYTES].decode(errors='ignore')}-{digest}"


def published_name(name: str) -> str:
    """`name`, or its `voxel_stem` if JSON (bytes that are not UTF-8) or ITK (\\ in a path) cannot say it."""
    is_plain = "\\" not in name and not any(unicodedata.category(c) == "Cs" for c in name)
    return name if is_plain else voxel_stem(name)


def label_map_names(base: str, fields: list[str]) -> dict[str, str]:
    """File name without extension by field: the base name itself for one field, `<base>.<field>` for several."""
    return {field: base if len(fields) == 1 else f"{base}.{field}" for field in fields}


def _printable(character: str) -> str:
    if character == " ":
        return character
    return "_" if character in "%\\" or unicodedata.category(character)[0] in "CZ" else character
