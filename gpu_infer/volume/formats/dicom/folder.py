"""The DICOM images of a folder, and its other files: no file that could be a slice is ignored silently."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom.elements import text
from gpu_infer.volume.formats.dicom.file import DicomFile, printable, quiet, read_file

_LISTED = 50  # most files that a warning names
_UNFINISHED = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".download")
OtherFile = tuple[Path, DicomFile | None, InputError | None]
"""A file that is no image: its elements if it is DICOM, the error if its header is damaged."""

_REMEDY = "copy or export the series again; move the file away if it is no slice"


def holds_series(folder: Path) -> bool:
    """Whether `folder` has a DICOM image, complete or cut. Raises `InputError` if none of its files can be read."""
    refusal: InputError | None = None
    readable = False
    with quiet():
        for path in files_in(folder):
            try:
                file = read_file(path)
            except InputError as error:
                refusal = refusal or error
                continue
            readable = True
            if file is not None and (file.has_pixels or file.is_image):
                return True
    if refusal is not None and not readable:
        raise refusal
    return False


def read_images(folder: Path, notes: list[str]) -> list[DicomFile]:
    """Read the DICOM images directly in `folder`, sorted by name; a note names every other file.

    Raises `InputError` if there is no image, if the images are of several series, and if a file looks like a slice of
    the series (its name, its class or its size) but cannot be read as one.
    """
    images, others = read_files(files_in(folder))
    return one_series(folder, images, others, notes)


def one_series(folder: Path, images: list[DicomFile], others: Sequence[OtherFile], notes: list[str]) -> list[DicomFile]:
    """Return `images` if they and the `others` of `folder` are one series; raises as `read_images` does."""
    if not images:
        if cut := next((path for path, file, _ in others if file is not None and file.is_image), None):
            raise _no_pixels(cut)
        if refusal := next((r for _, _, r in others if r is not None), None):
            raise refusal
        raise InputError(f"{folder}: no DICOM series in this folder", remedy="give the folder that holds the slices")
    _check_one_series(folder, images)
    check_others(images, others, notes)
    return images


def read_files(paths: Iterable[Path]) -> tuple[list[DicomFile], list[OtherFile]]:
    """Read the headers of files: the DICOM images, and all others."""
    images: list[DicomFile] = []
    others: list[OtherFile] = []
    for path in paths:
        try:
            file, refusal = read_file(path), None
        except InputError as error:
            file, refusal = None, error
        if file is not None and file.has_pixels:
            images.append(file)
        else:
            others.append((path, file, refusal))
    return images, others


def check_others(images: Sequence[DicomFile], others: Sequence[OtherFile], notes: list[str]) -> None:
    """Raise `InputError` if one of `others` looks like a slice of the series of `images`; a note names all others."""
    for path, file, refusal in others:
        _check_no_slice(path, file, refusal, images)
    if others:
        names = [printable(path.name) for path, _, _ in others[:_LISTED]]
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        notes.append(f"{len(others)} files are no DICOM images and were passed over: {', '.join(names)}{more}")


def files_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.is_dir())
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read: {error.strerror}", remedy="let this user read the input folder"
        ) from None


def _check_one_series(folder: Path, images: Sequence[DicomFile]) -> None:
    series: dict[str, list[DicomFile]] = {}
    for file in images:
        series.setdefault(file.series, []).append(file)
    if len(series) == 1:
        _check_one_patient(folder, images)
        return
    listed = "; ".join(
        f"series {n} of {len(series)} ({modality(files[0])}, {len(files)} files, first file {files[0].name})"
        for n, files in enumerate(list(series.values())[:10], 1)
    )
    raise InputError(
        f"{folder}: {len(series)} DICOM series: {listed}",
        remedy="keep one series in the folder, or choose one with --series",
    )


def _check_one_patient(folder: Path, images: Sequence[DicomFile]) -> None:
    """Raise `InputError` if slices with one series UID name two patients or studies; a slice may name none."""
    for keyword, thing in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        firsts: dict[str, DicomFile] = {}
        for file in images:
            if value := text(file.elements, keyword):
                firsts.setdefault(value, file)
        if len(firsts) > 1:
            names = ", ".join(printable(file.path.name) for file in list(firsts.values())[:3])
            raise InputError(
                f"{folder}: slices of {len(firsts)} {thing} have one SeriesInstanceUID, expected one: see {names}",
                remedy="separate them into folders, or export the series again",
            )


def modality(file: DicomFile) -> str:
    """Return the modality if it is a code, no free text."""
    value = text(file.elements, "Modality")
    return value if re.fullmatch(r"[A-Z]{2,9}", value) else "unknown modality"


def _check_no_slice(
    path: Path, file: DicomFile | None, refusal: InputError | None, images: Sequence[DicomFile]
) -> None:
    classes = {image.sop_class for image in images}
    if file is not None:  # DICOM without pixels: a report, a structure set, or a slice that was cut
        if file.sop_class in classes or (not file.is_no_image and _looks_alike(path, images)):
            raise _no_pixels(path)
        return
    if not _looks_alike(path, images):
        return
    if refusal is not None:
        raise refusal
    raise InputError(
        f"{path}: looks like a slice of the series, found {_size(path)} bytes that are no DICOM file", remedy=_REMEDY
    )


def _no_pixels(path: Path) -> InputError:
    return InputError(f"{path}: truncated or damaged slice: no pixels in it", remedy=_REMEDY)


def _looks_alike(path: Path, images: Sequence[DicomFile]) -> bool:
    return _named_alike(path, images) or _sized_alike(path, images)


def _named_alike(path: Path, images: Sequence[DicomFile]) -> bool:
    name = path.name.removeprefix(".") if path.suffix in _UNFINISHED else path.name
    for suffix in _UNFINISHED:
        name = name.removesuffix(suffix)
    return _pattern(name) in {_pattern(image.path.name) for image in images}


def _pattern(name: str) -> str:
    """Replace numbers and UIDs in a name by #: IM0007.dcm and IM0123.dcm then are equal."""
    stem, dot, suffix = name.rpartition(".")
    if re.fullmatch(r"(?=.*\d)[0-9A-Fa-f-]{6,}", stem or suffix):
        return f"#{dot}{suffix.lower()}" if stem else "#"
    return re.sub(r"\d+(\.\d+)*", "#", name).lower()


def _sized_alike(path: Path, images: Sequence[DicomFile]) -> bool:
    """Whether a file has a slice's extension and about the size of a slice, whatever its contents."""
    sizes = [image.size for image in images]
    suffixes = {image.path.suffix.lower() for image in images if not image.path.suffix[1:].isdigit()} or {""}
    return path.suffix.lower() in suffixes and min(sizes) <= _size(path) * 1.1 and _size(path) <= max(sizes) * 1.1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
