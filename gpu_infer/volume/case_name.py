"""The name of a case, from which the names of all outputs are made: by default that of the input, else a pattern.

A pattern such as `{PatientID}_{SeriesNumber}` names elements of DICOM; `{name}` is the default name.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path
from string import Formatter

from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.input_files import base_name

NAME, FOLDER = "name", "folder"
"""Fields that are no elements: the default name, and the folder of a DICOM series."""

_EXAMPLE = "--name {PatientID}_{SeriesNumber}"
_JOINED = "^ "  # between the parts of names of persons, and words
_PLAIN = "-_.+"


def check_pattern(pattern: str) -> None:
    """Raise `ConfigError` for a pattern with an unknown field, or one that can make no file name."""
    for literal, field in _parts(pattern):
        if any(not (c.isprintable() and c not in "/\\") for c in literal):
            raise _refusal(pattern, "a slash or control character, expected a file name")
        if field not in (None, NAME, FOLDER):
            from gpu_infer.volume.formats.dicom.texts import keyword_problem

            if (problem := keyword_problem(str(field))) is not None:
                raise _refusal(pattern, problem)
    if pattern.startswith((".", "-")) or not pattern.strip():
        raise _refusal(pattern, "expected a name that begins with a letter, digit or field")


def case_name(path: Path, first: Path | None, pattern: str | None) -> str:
    """Return the name of a case without extension.

    Args:
        path: the file or folder of the input.
        first: the file of the first slice of a DICOM series; None for other formats.
        pattern: checked by `check_pattern`; None: the name of the file without its extension, or of the folder.

    Raises:
        InputError: an element of the pattern is missing in the series, or the input is no DICOM.
    """
    default = base_name(path)
    if pattern is None:
        return default
    parts = _parts(pattern)
    keywords = [field for _, field in parts if field not in (None, NAME, FOLDER)]
    if first is None and (field := next((f for _, f in parts if f not in (None, NAME)), None)):
        raise InputError(
            f"{path}: no DICOM series, and --name {pattern} contains {{{field}}}",
            remedy="use {name}, the name of the input, and plain text",
        )
    values = {NAME: default, FOLDER: default}
    if first is not None and keywords:
        from gpu_infer.volume.formats.dicom.texts import read_texts

        for keyword, texts in read_texts(first, [str(keyword) for keyword in keywords]).items():
            values[keyword] = clean("-".join(texts))
            if not values[keyword]:
                raise InputError(
                    f"{path}: {keyword} is empty or missing, --name {pattern} needs it",
                    remedy="leave it out of the pattern, or use {name}",
                )
    return "".join(literal + (values[field] if field else "") for literal, field in parts)


def clean(value: str) -> str:
    """Return `value` as part of a file name: letters, digits and `-_.+` stay, all else becomes _.

    Values that differ in more than `^` and blanks get different names: a digest of the value is added.
    """
    text = unicodedata.normalize("NFC", value.strip().rstrip("^"))
    plain = "".join(c if c.isalnum() or c in _PLAIN else "_" for c in text)
    safe = re.sub("_{2,}", "_", plain).lstrip("_.-").rstrip("_")
    is_plain = all(c.isalnum() or c in _PLAIN or c in _JOINED for c in text)
    if not text or (is_plain and text[0] not in "_.-" and text[-1] != "_" and "__" not in text):
        return safe
    return f"{safe}-{hashlib.sha256(os.fsencode(value)).hexdigest()[:8]}".lstrip("-")


def _parts(pattern: str) -> list[tuple[str, str | None]]:
    """(text, field after it) of a pattern; `{{` and `}}` are braces."""
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError:
        raise _refusal(pattern, "a brace alone, expected fields such as {PatientID}") from None
    for _, field, form, conversion in parts:
        if form or conversion or (field is not None and not re.fullmatch("[A-Za-z0-9]+", field)):
            raise _refusal(pattern, f"the field {field!r}, expected a keyword of DICOM, {{name}} or {{folder}}")
    return [(literal, field) for literal, field, _, _ in parts]


def _refusal(pattern: str, what: str) -> ConfigError:
    return ConfigError(f"--name: found {pattern[:100]!r}: {what}", remedy=f"write for example {_EXAMPLE}")
