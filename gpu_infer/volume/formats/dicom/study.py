"""The series of a DICOM study, and whether each of them is a volume."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gpu_infer.choices import Tilt
from gpu_infer.errors import InputError
from gpu_infer.volume.files import unreadable
from gpu_infer.volume.formats.dicom.elements import number, text, words
from gpu_infer.volume.formats.dicom.file import DicomFile, quiet, read_file
from gpu_infer.volume.formats.dicom.folder import OtherFile, check_others, modality, read_files
from gpu_infer.volume.formats.dicom.series import Series, make_series
from gpu_infer.volume.formats.dicom.texts import read_texts

MOST_FILES = 200_000
"""Files of a study; a folder with more is no study, but perhaps an archive or a home folder."""

_NO_PIXELS = "no pixels: a report, a structure set or the like"
_LATE = 1 << 62  # sorts a series without a number after the others


@dataclass(frozen=True, eq=False)
class StudySeries:
    """One series of a study.

    number  in the list of the study, from 1.
    images  its files with pixels; if it has none, `others` are its files.
    others  the files in the folders of its images that are no images.
    tilt    "index": irregular slices are a volume in index space.
    """

    number: int
    images: tuple[DicomFile, ...]
    others: tuple[OtherFile, ...]
    tilt: Tilt = "refuse"

    @property
    def first(self) -> DicomFile:
        return self.images[0] if self.images else next(file for _, file, _ in self.others if file is not None)

    @property
    def modality(self) -> str:
        return modality(self.first)

    @property
    def uid(self) -> str:
        return self.first.series

    @property
    def folder(self) -> Path:
        """The folder that contains all its files."""
        return common_folder([file.path for file in self.images] or [self.first.path])

    @property
    def is_localizer(self) -> bool:
        return any("LOCALIZER" in words(file.elements, "ImageType") for file in self.images)

    @cached_property
    def volume(self) -> Series | InputError:
        """The series as a volume, or the reason why it is none."""
        if not self.images:
            return InputError(_NO_PIXELS)
        if self.is_localizer:
            return InputError("localizer")
        notes: list[str] = []
        try:
            with quiet():
                check_others(self.images, self.others, notes)
                return make_series(self.folder, self.images, notes, self.tilt)
        except InputError as error:
            return error

    @property
    def slices(self) -> int:
        """Slices of the volume; of a series that is none, its frames."""
        if isinstance(self.volume, Series):
            return self.volume.geometry.shape[2]
        return sum(file.frames for file in self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of its images; (0, 0) if they are not known."""
        if isinstance(self.volume, Series):
            return self.volume.geometry.shape[:2]
        try:
            columns, rows = (number(self.first.elements, word, "") or 0 for word in ("Columns", "Rows"))
        except InputError:
            return 0, 0
        return int(columns), int(rows)

    @property
    def spacing(self) -> float | None:
        """Distance of the slices in mm, None if the series is no volume."""
        return float(self.volume.geometry.spacing[2]) if isinstance(self.volume, Series) else None

    @property
    def volume_spacing(self) -> tuple[float, ...]:
        """Spacing in mm along columns, rows and slices; () if the series is no volume."""
        return self.volume.geometry.spacing if isinstance(self.volume, Series) else ()

    def values(self, keyword: str) -> tuple[str, ...]:
        """Values of an element in the first slice. They may identify a patient."""
        path = self.volume.files[0] if isinstance(self.volume, Series) else self.first.path
        return read_texts(path, [keyword])[keyword]


def common_folder(paths: Sequence[Path]) -> Path:
    """Return the lowest folder that contains all files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def files_below(folder: Path) -> list[Path]:
    """Return every file in `folder` and its sub-folders in a fixed order, but not in hidden folders or linked ones.

    Raises `InputError` if there are more than `MOST_FILES`, or a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or folder), error) from None

    paths: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        paths += [Path(parent, name) for name in sorted(names)]
        if len(paths) > MOST_FILES:
            raise InputError(
                f"{folder}: more than {MOST_FILES} files, expected those of a study", remedy="give the study's folder"
            )
    return paths


def holds_study(folder: Path) -> bool:
    """Whether there is a DICOM image in `folder` or below. Files that cannot be read are skipped."""
    with quiet():
        for path in files_below(folder):
            try:
                file = read_file(path)
            except InputError:
                continue
            if file is not None and (file.has_pixels or file.is_image):
                return True
    return False


def find_series(paths: Iterable[Path], tilt: Tilt = "refuse") -> list[StudySeries]:
    """Return the series of DICOM files, by folder, then by SeriesNumber.

    Files of different patients or studies are different series, whatever their UID. A series whose slices are in
    several folders is one series.
    """
    with quiet():
        images, others = read_files(paths)
    groups: dict[tuple[str, ...], list[DicomFile]] = {}
    for file in images:
        groups.setdefault(_identity(file), []).append(file)
    near: dict[Path, list[OtherFile]] = {}
    rest: dict[tuple[str, ...], list[OtherFile]] = {}
    for other in others:
        near.setdefault(other[0].parent, []).append(other)
        if (no_image := other[1]) is not None and no_image.series and _identity(no_image) not in groups:
            rest.setdefault(_identity(no_image), []).append(other)
    series = [StudySeries(0, tuple(files), tuple(_others_near(files, near))) for files in groups.values()]
    series += [StudySeries(0, (), tuple(files)) for files in rest.values()]
    series.sort(key=_order)
    return [StudySeries(number, one.images, one.others, tilt) for number, one in enumerate(series, 1)]


def _identity(file: DicomFile) -> tuple[str, ...]:
    return tuple(text(file.elements, word) for word in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"))


def _others_near(files: Sequence[DicomFile], near: dict[Path, list[OtherFile]]) -> list[OtherFile]:
    folders = dict.fromkeys(file.path.parent for file in files)
    return [other for folder in folders for other in near.get(folder, ())]


def _order(series: StudySeries) -> tuple[str, int, str]:
    digits = text(series.first.elements, "SeriesNumber")
    order = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 18 else _LATE
    return str(series.folder), order, str(series.first.path)
