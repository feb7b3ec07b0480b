"""Whether the slices of one series are of one volume: one echo, one time, one diffusion weighting, one energy.

Two echoes at interleaved positions are an even grid. What tells them apart is how the images were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom.elements import CONTRAST_NUMBERS, CONTRAST_WORDS, numbers, raw, text, words
from gpu_infer.volume.formats.dicom.file import DicomFile

_TRIGGER = "TriggerTime"
_DIGITS = 3  # significant ones: vendors write one time with various numbers of digits

_Value = tuple[object, ...]


def check_one_volume(files: Sequence[DicomFile], folder: Path) -> None:
    """Raise `InputError` if the slices differ in a tag that has one value in a volume; it names the tag, no value."""
    for keyword in (*CONTRAST_NUMBERS, *CONTRAST_WORDS, "ImageType"):
        values = [_value(file, keyword) for file in files]
        counts = Counter(values)
        if len(counts) < 2 or (keyword == _TRIGGER and not _are_groups(counts, len(files))):
            continue
        first = files[0].name
        other = next(file.name for file, value in zip(files, values, strict=True) if value != values[0])
        raise InputError(
            f"{folder}: several volumes in one series: {keyword} has {len(counts)} values, it differs between {first}"
            f" and {other}, expected one",
            remedy="keep one phase, echo or time point in the folder",
        )


def _are_groups(counts: Counter[_Value], slices: int) -> bool:
    """Whether values are shared by many slices: gated slices have a trigger time each, and some are equal by chance."""
    return 2 * len(counts) <= slices


def _value(file: DicomFile, keyword: str) -> _Value:
    if keyword == "ImageType":
        # Magnitude and phase, water and fat of MR. The first two values say who made the image, not what it shows.
        return words(file.elements, keyword)[2:] if text(file.elements, "Modality") == "MR" else ()
    if keyword in CONTRAST_WORDS:
        return words(file.elements, keyword)
    try:
        return tuple(float(f"{value:.{_DIGITS}g}") for value in numbers(file.elements, keyword, str(file.path)))
    except InputError:  # no numbers: such a value is compared as it is
        return (raw(file.elements, keyword),)
