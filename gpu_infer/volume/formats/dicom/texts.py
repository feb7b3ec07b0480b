"""Values of any elements of one DICOM file, as text: for rules, names of outputs and the identity in a report.

These values may identify a patient. Callers show them only if the user asked for it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword
from pydicom.multival import MultiValue

from gpu_infer.errors import GpuInferError, InputError
from gpu_infer.volume.files import open_regular
from gpu_infer.volume.formats.dicom.file import EXPORT, quiet

IDENTITY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyInstanceUID", "StudyDate", "StudyDescription"),
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
)
"""Elements that a report contains with `--with-identity`."""

_NUMERIC = {"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}
_NO_TEXT = {"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN"}


def read_texts(path: Path, keywords: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of elements of the file's top level by keyword; () for an element that is missing or empty.

    Text is decoded with the file's character set and stripped. Raises `InputError` for a damaged header; the error
    contains no value.
    """
    wanted: list[Any] = list(keywords)
    try:
        with quiet(), open_regular(path) as file:
            elements = dcmread(file, stop_before_pixels=True, force=True, specific_tags=wanted)
            return {keyword: _texts(elements.get(keyword)) for keyword in wanted}
    except (GpuInferError, MemoryError):
        raise
    except Exception:  # pydicom raises many types for damaged bytes; its message may quote the patient's data
        raise InputError(f"{path}: damaged DICOM header", remedy=EXPORT) from None


def keyword_problem(keyword: str) -> str | None:
    """The reason why `keyword` names no element with a text value; None if it names one."""
    tag = tag_for_keyword(keyword)
    if tag is None or not keyword:
        close = difflib.get_close_matches(keyword, keyword_dict, n=1)
        return f"{keyword} is no keyword of DICOM" + (f" (did you mean {close[0]}?)" if close else "")
    if _NO_TEXT.intersection(dictionary_VR(tag).split(" or ")):
        return f"{keyword} is a sequence or bytes, expected text or numbers"
    return None


def is_numeric(keyword: str) -> bool:
    """Whether the element of a keyword holds numbers."""
    tag = tag_for_keyword(keyword)
    return tag is not None and dictionary_VR(tag) in _NUMERIC


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, MultiValue | list) else [value]
    return tuple(text for item in values if (text := str(item).strip("\0 ")))
