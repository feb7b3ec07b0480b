"""Open the input of a run: choose the file or the DICOM series, unpack an archive, read the header.

A DICOM study is a folder of any depth, its zip archive, or its DICOMDIR. Its series are chosen here; `formats/dicom`
finds them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.choices import Tilt
from gpu_infer.errors import ConfigError, GpuInferError, InputError
from gpu_infer.redaction import redact
from gpu_infer.volume.archive import unpack
from gpu_infer.volume.case_name import case_name
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import FolderChoice, check_exists, choose_files, is_archive, is_dicomdir
from gpu_infer.volume.read import read_header, series_header
from gpu_infer.volume.series_rules import SeriesChoice, fits

if TYPE_CHECKING:
    from gpu_infer.volume.formats.dicom.study import StudySeries

log = logging.getLogger(__name__)

_LISTED = 20  # most series that an error lists


@dataclass(frozen=True)
class InputOptions:
    """How to open an input.

    patterns       of the files of the channels, from the configuration's LoadNifti
    files          of the channels of one volume in order, the input first; empty: the input has all of them
    series_files   the files of a DICOM study that count, in a folder with others; empty: all in the input
    series         which series of a DICOM study to take; None: the only one that is a volume
    allow_foreign  data files that a header names may be outside its folder
    name           pattern of the case's name, None: the name of the input
    first          take the first of several volumes in a folder, False: refuse the folder
    outputs        of volumes in a folder, those that this program has written; they do not count beside others
    tilt           "index": irregular slices of a DICOM series are stacked in index space
    """

    patterns: Sequence[str] = ()
    files: Sequence[Path] = ()
    series_files: Sequence[Path] = ()
    series: SeriesChoice | None = None
    allow_foreign: bool = False
    name: str | None = None
    first: bool = False
    outputs: Callable[[Sequence[Path]], Collection[Path]] = lambda _: ()
    tilt: Tilt = "refuse"


@contextmanager
def open_input(path: Path, options: InputOptions) -> Iterator[VolumeHeader]:
    """Yield the header of the volume at `path`, which can be read until the end of the context.

    Raises:
        InputError: there is no volume, it cannot be used, or no single series is chosen; the error lists the series.
        ConfigError: the options contradict each other or the input.
        ResourceError: there is no space to unpack an archive.
    """
    with ExitStack() as stack:
        try:
            header = _header(path, options, stack)
            first = header.files[0] if header.format == "dicom" else None
            if options.tilt == "index" and header.index_space is None:
                log.info("%s: the slices are a regular grid, on which --tilt index changes nothing", path)
            header = replace(header, case=case_name(header.path, first, options.name))
        except GpuInferError as error:
            # The path of an archive instead of that of its temporary folder, also for callers without a log.
            error.message = redact(error.message)
            raise
        yield header


@contextmanager
def open_study(path: Path) -> Iterator[list[StudySeries]]:
    """Yield the series of the DICOM study at `path`: a folder, a zip archive or a DICOMDIR. Raises `InputError`."""
    with ExitStack() as stack:
        check_exists(path)
        yield _study(path, stack)


def _header(path: Path, options: InputOptions, stack: ExitStack) -> VolumeHeader:
    check_exists(path)
    by_option = options.series is not None and options.series.is_option
    if by_option and options.patterns:
        raise ConfigError("--series contradicts LoadNifti's `files`", remedy="leave one of the two out")
    if options.files:
        return _channels(options, by_option=by_option)
    if options.series_files:
        if options.patterns:
            raise ConfigError("files of a series contradict LoadNifti's `files`", remedy="leave one of the two out")
        return _from_study(path, options, stack)
    if is_archive(path) or is_dicomdir(path) or (by_option and path.is_dir()):
        if options.patterns:
            choose_files(path, options.patterns)  # refuses a file
        return _from_study(path, options, stack)
    choice = FolderChoice(options.first, options.outputs)
    files = choose_files(path, options.patterns, choice)
    if not files[0].is_dir():
        if by_option:
            raise InputError(
                f"{path}: --series chooses from a DICOM study, found another file",
                remedy="leave --series out, or give a folder, a zip or a DICOMDIR",
            )
        if options.tilt == "index":
            raise InputError(
                f"{path}: --tilt index is about the slices of a DICOM series, found another file",
                remedy="leave --tilt out, or give the series",
            )
        header = read_header(files, allow_foreign=options.allow_foreign)
        return replace(header, warnings=(*choice.warnings, *header.warnings))
    from gpu_infer.volume.formats.dicom.series import read_folder

    series = read_folder(files[0], options.tilt) if options.series is None else None
    return _from_study(path, options, stack) if series is None else series_header(series, files[0])


def _channels(options: InputOptions, *, by_option: bool) -> VolumeHeader:
    """The header of a volume whose channels are in files of their own."""
    count = f"{len(options.files)} files of channels"
    if options.series_files:
        raise ConfigError(f"{count} contradict the files of one series", remedy="leave one of the two out")
    if options.patterns:
        raise ConfigError(
            f"{count} contradict LoadNifti's `files`", remedy="give the folder of the case, or take `files` out"
        )
    if by_option:
        raise ConfigError(f"--series contradicts {count}", remedy="leave --series out, or give one DICOM study")
    if packed := next((file for file in options.files if is_archive(file) or is_dicomdir(file)), None):
        raise InputError(
            f"{packed}: a DICOM study, expected the file of one channel", remedy="give the folder of one series"
        )
    return read_header(options.files, allow_foreign=options.allow_foreign)


def _study(path: Path, stack: ExitStack, tilt: Tilt = "refuse", files: Sequence[Path] = ()) -> list[StudySeries]:
    """The series of a study; of the folder `path`, only `files` count if there are any."""
    from gpu_infer.volume.formats.dicom.dicomdir import listed_files
    from gpu_infer.volume.formats.dicom.study import files_below, find_series

    if is_dicomdir(path):
        files = listed_files(path)
    elif path.is_dir():
        files = files or files_below(path)
    elif is_archive(path):
        files = files_below(stack.enter_context(unpack(path)))
    else:
        raise InputError(f"{path}: expected a DICOM study", remedy="give a folder, a .zip or a DICOMDIR")
    series = find_series(files, tilt)
    if not series:
        raise InputError(f"{path}: no DICOM series found in {len(files)} files", remedy="give the folder of a study")
    return series


def _from_study(path: Path, options: InputOptions, stack: ExitStack) -> VolumeHeader:
    from gpu_infer.volume.formats.dicom.slices import IrregularSlices

    choice, series = options.series, _study(path, stack, options.tilt, options.series_files)
    chosen = choose_series(path, series, choice)
    volume = chosen.volume
    if isinstance(volume, InputError):
        raise InputError(
            f"{path}: series {chosen.number} cannot be used: {volume.message}",
            remedy=(volume.remedy if isinstance(volume, IrregularSlices) else None)
            or "choose another one: gpu-infer series lists them",
        )
    log.info("%s: series %d of %d: %s, %d slices", path, chosen.number, len(series), chosen.modality, chosen.slices)
    header = series_header(volume, chosen.folder)
    notes = [] if _is_named(choice) else _not_considered(path, series)
    for note in notes:
        log.warning("%s: %s", path, note)
    return replace(
        header,
        warnings=(*header.warnings, *notes),
        series={"number": chosen.number, "of": len(series), "modality": chosen.modality},
    )


def _is_named(choice: SeriesChoice | None) -> bool:
    """Whether the user named one series, and did not leave the choice to a rule."""
    return choice is not None and all(not selector.conditions for selector in choice.selectors)


def _not_considered(path: Path, series: Sequence[StudySeries]) -> list[str]:
    """A line for each series of several images that is no volume: it may be the one that was meant."""
    return [
        f"series {one.number} ({one.modality}, {len(one.images)} files) was not considered: {problem}"
        for one in series
        if (len(one.images) > 1 or one.first.frames > 1) and (problem := reason(path, one)) and not one.is_localizer
    ]


def choose_series(path: Path, series: Sequence[StudySeries], choice: SeriesChoice | None) -> StudySeries:
    """Return the series that `choice` selects, or without a choice the only one that is a volume.

    A number or UID selects any series; a rule is asked about volumes only. Selectors are tried in order: the first that
    fits exactly one series decides. Raises `InputError`, which lists the series without their UIDs and descriptions.
    """
    if choice is None:
        usable = [one for one in series if _is_volume(one)]
        if len(usable) == 1:
            return usable[0]
        raise _refusal(path, series, "none of them is a volume" if not usable else f"{len(usable)} of them are volumes")
    counts: list[str] = []
    for selector in choice.selectors:
        if selector.number is not None:
            matches = [one for one in series if one.number == selector.number]
        elif selector.uid is not None:
            matches = [one for one in series if one.uid == selector.uid]
        else:
            matches = [one for one in series if _is_volume(one) and fits(selector.conditions, one)]
        if len(matches) == 1:
            return matches[0]
        shown = "the UID" if selector.uid is not None else repr(selector.text)
        counts.append(f"{shown} fits {', '.join(str(one.number) for one in matches[:_LISTED]) or 'none'}")
    raise _refusal(path, series, f"{choice.source}: {'; '.join(counts)}, expected exactly one")


def _is_volume(series: StudySeries) -> bool:
    return not isinstance(series.volume, InputError)


def _refusal(path: Path, series: Sequence[StudySeries], problem: str) -> InputError:
    listed = "; ".join(f"{one.number}: {one.modality}, {_state(path, one)}" for one in series[:_LISTED])
    more = f"; and {len(series) - _LISTED} more" if len(series) > _LISTED else ""
    return InputError(
        f"{path}: {len(series)} DICOM series, {problem}: {listed}{more}",
        remedy="choose one with --series NUMBER, UID or RULE; gpu-infer series PATH describes them",
    )


def _state(path: Path, series: StudySeries) -> str:
    if (problem := reason(path, series)) is not None:
        return problem if len(problem) <= 120 else problem[:119] + "…"
    return f"{series.slices} slices"


def reason(path: Path, series: StudySeries) -> str | None:
    """Why a series is no volume, without the folder that was given; None if it is one."""
    volume = series.volume
    if not isinstance(volume, InputError):
        return None
    message = redact(volume.message)
    for prefix in (f"{path}/", f"{path}: ", f"{path.parent}/"):
        message = message.replace(prefix, "")
    return message
