"""Values of DICOM elements as plain numbers and text, also if the header is damaged."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from gpu_infer.errors import GpuInferError, InputError
from gpu_infer.volume.checks import Voxels

CONTRAST_NUMBERS = (
    *("EchoNumbers", "EchoTime", "InversionTime", "FlipAngle", "TemporalPositionIdentifier", "TriggerTime"),
    *("NominalPercentageOfCardiacPhase", "DiffusionBValue", "DiffusionGradientOrientation", "KVP"),
)
CONTRAST_WORDS = ("ConvolutionKernel", "ComplexImageComponent")
"""What has one value in a volume, and several in a series that holds more than one."""

KEYWORDS = (
    *("ImageType", "SOPClassUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "Units"),
    *("StudyInstanceUID", "PatientID", "SeriesNumber"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "DoseGridScaling"),
    *("InConcatenationNumber", "InConcatenationTotalNumber", "DimensionIndexSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(*CONTRAST_NUMBERS, *CONTRAST_WORDS),
)
"""Elements that are read from a file; all others are skipped."""

SIEMENS_MOSAIC = (0x00190010, 0x0019100A)
"""Tags of the name of Siemens' private group, and of NumberOfImagesInMosaic in it."""

_REMEDY = "repair the header, or export the series again"
_TEXT = ("DS", "IS", "CS", "UI", "LO", "SH")
_BINARY = {"US": "u2", "UL": "u4", "AT": "u2", "US or SS": "u2", "FD": "f8", "FL": "f4"}


def text(elements: Dataset, keyword: str) -> str:
    """Return the element as text without padding; "" if it is missing."""
    return _decode_text(_value(elements, keyword))


def words(elements: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a text element."""
    joined = text(elements, keyword)
    return tuple(part.strip() for part in joined.split("\\")) if joined else ()


def numbers(elements: Dataset, keyword: str, where: str) -> tuple[float, ...]:
    """Return the values of an element of numbers; () if it is missing or empty. `where` begins the error line.

    Raises `InputError` for values that are no finite numbers.
    """
    value = _value(elements, keyword)
    if not value:
        return ()
    vr = dictionary_VR(keyword)
    try:
        if vr in _TEXT:
            decoded = _decode_text(value).replace("_", "?")  # Python accepts 1_0 as a number
            values = [float(part) for part in decoded.split("\\") if part.strip()]
        else:
            values = [float(v) for v in _array(elements, keyword, value, _BINARY[vr])]
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{where}: {keyword} is damaged, expected numbers", remedy=_REMEDY) from None
    if not np.isfinite(values).all():
        raise InputError(f"{where}: {keyword} holds NaN or infinity, expected finite numbers", remedy=_REMEDY)
    return tuple(values)


def number(elements: Dataset, keyword: str, where: str, default: float | None = None) -> float | None:
    """Return the first value of an element of numbers, or `default` if there is none. Raises as `numbers` does."""
    values = numbers(elements, keyword, where)
    return values[0] if values else default


def integer(elements: Dataset, keyword: str, where: str) -> int:
    """Return a whole number that every image must have. Raises `InputError`."""
    value = number(elements, keyword, where)
    if value is None or value != int(value):
        shown = "missing" if value is None else f"{value:g}"
        raise InputError(f"{where}: {keyword} is {shown}, expected a whole number", remedy=_REMEDY)
    return int(value)


def items(elements: Dataset, keyword: str, where: str) -> list[Dataset]:
    """Return the items of a sequence; [] if it is missing. Raises `InputError` if it is damaged."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in elements:
        return []
    try:
        value = elements[tag].value
        sequence = list(value) if value else []
    except (GpuInferError, MemoryError):
        raise
    except Exception:  # items are parsed here, and damaged ones raise many types
        sequence = [None]
    if not all(isinstance(item, Dataset) for item in sequence):
        raise InputError(f"{where}: {keyword} is damaged, expected a sequence", remedy=_REMEDY)
    return sequence


def raw(elements: Dataset, keyword: str) -> bytes:
    """Return the bytes of an element as they are in the file."""
    value = _value(elements, keyword)
    return bytes(value) if isinstance(value, bytes | bytearray) else b""


def uid_name(uid: str) -> str:
    """Return the standard's name of a class or transfer syntax, "" for any other UID."""
    if not re.fullmatch(r"[0-9.]{1,64}", uid):
        return ""
    name = UID(uid).name
    return "" if name == uid else name


def mosaic_tiles(elements: Dataset) -> int:
    """Return the number of slices that a Siemens mosaic shows as tiles; 0 for any other image."""
    creator, count = (elements.get_item(tag) if tag in elements else None for tag in SIEMENS_MOSAIC)
    if count is None or creator is None or not _decode_text(creator.value).startswith("SIEMENS MR"):
        return 0
    value = count.value if isinstance(count.value, bytes) else b""
    return int.from_bytes(value, "little") if len(value) == 2 and count.VR != "IS" else _digits(value)


def _digits(value: bytes) -> int:
    digits = _decode_text(value)
    return int(digits) if digits.isdecimal() and len(digits) < 6 else 0


def _element(elements: Dataset, keyword: str) -> Any:
    """Return pydicom's element, which may be raw (not yet parsed); None if it is missing."""
    tag = tag_for_keyword(keyword)
    return None if tag is None or tag not in elements else elements.get_item(tag)


def _value(elements: Dataset, keyword: str) -> Any:
    element = _element(elements, keyword)
    return None if element is None else element.value


def _decode_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("ascii", "replace").strip("\0 ")
    return str(value).strip("\0 ") if isinstance(value, str) else ""


def _array(elements: Dataset, keyword: str, value: bytes, dtype: str) -> Voxels:
    element = _element(elements, keyword)
    if not isinstance(element, RawDataElement):
        raise ValueError(keyword)
    return np.frombuffer(value, np.dtype(dtype).newbyteorder("<" if element.is_little_endian else ">"))
