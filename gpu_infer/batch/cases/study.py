"""Cases of DICOM studies: the series that are volumes and that the rules choose."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.ids import folder_name, make_id
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.errors import InputError
from gpu_infer.volume.case_name import case_name
from gpu_infer.volume.formats.dicom.elements import text
from gpu_infer.volume.formats.dicom.study import StudySeries
from gpu_infer.volume.open_input import reason
from gpu_infer.volume.series_rules import RuleError, SeriesChoice, fits, parse_selector

log = logging.getLogger(__name__)

_LISTED = 20  # most series that the log lists


def study_cases(root: Path, series: Sequence[StudySeries], options: CaseOptions) -> list[Case]:
    """One case for each chosen series below `root`, in order.

    The identifier is that of `options.name`, or the path of the series' folder from `root`, with its number in that
    folder if several of its series are cases.
    """
    chosen = choose_each(series, options.series)
    _log_others(root, series, chosen)
    in_folder = Counter(one.folder for one in chosen)
    numbers: Counter[Path] = Counter()
    number = {}
    for one in series:
        numbers[one.folder] += 1
        number[one.number] = numbers[one.folder]
    below = Counter(folder for one in series for folder in _folders(one))
    cases = []
    for one in chosen:
        parts = one.folder.relative_to(root).parts or (folder_name(root),)
        if in_folder[one.folder] > 1:
            parts += (str(number[one.number]),)
        name = make_id(*parts) if options.name is None else _named(one, options.name)
        if below[one.folder] > 1:
            cases.append(Case(name, (one.folder,), _uid(one), _slices(one)))
        else:
            cases.append(Case(name, (one.folder,)))
    return cases


def choose_each(series: Sequence[StudySeries], choice: SeriesChoice | None) -> list[StudySeries]:
    """The series that are cases: without a choice, all volumes.

    Rules are tried in order for each study: the first that fits exactly one volume decides, as in a run of the study
    alone; if none does, all volumes that the first fitting rule fits are cases.
    """
    volumes = [one for one in series if not isinstance(one.volume, InputError)]
    if choice is None:
        return volumes
    studies: dict[tuple[str, ...], list[StudySeries]] = {}
    for one in volumes:
        studies.setdefault(_study(one), []).append(one)
    chosen: set[int] = set()
    for study in studies.values():
        matches = [[one for one in study if fits(selector.conditions, one)] for selector in choice.selectors]
        best = next((match for match in matches if len(match) == 1), next(filter(None, matches), []))
        chosen |= {one.number for one in best}
    return [one for one in volumes if one.number in chosen]


def _study(series: StudySeries) -> tuple[str, ...]:
    return tuple(text(series.first.elements, word) for word in ("PatientID", "StudyInstanceUID"))


def _named(series: StudySeries, pattern: str) -> str:
    assert not isinstance(series.volume, InputError)
    return make_id(case_name(series.folder, series.volume.files[0], pattern))


def _uid(series: StudySeries) -> str | None:
    """The UID by which a run chooses the series; None if it has none that is valid, since its files choose it, too."""
    try:
        return parse_selector(series.uid).uid
    except RuleError:
        return None


def _slices(series: StudySeries) -> tuple[Path, ...]:
    assert not isinstance(series.volume, InputError)
    return series.volume.files


def _folders(series: StudySeries) -> set[Path]:
    """The folders of the files of a series, and all above them."""
    parents = {file.path.parent for file in series.images} or {series.first.path.parent}
    return {folder for parent in parents for folder in (parent, *parent.parents)}


def _log_others(root: Path, series: Sequence[StudySeries], chosen: Sequence[StudySeries]) -> None:
    """Log the series that are no cases: as a warning if a volume was meant, perhaps."""
    numbers = {one.number for one in chosen}
    others = [one for one in series if one.number not in numbers]
    lines = list(_problems(root, others))
    for line in lines[:_LISTED]:
        log.warning("%s: %s", root, line)
    if len(lines) > _LISTED:
        log.warning("%s: and %d more series of several images are no volumes", root, len(lines) - _LISTED)
    if others:
        log.info("%s: %d of %d DICOM series are cases", root, len(chosen), len(series))


def _problems(root: Path, series: Iterable[StudySeries]) -> Iterator[str]:
    for one in series:
        is_large = len(one.images) > 1 or one.first.frames > 1
        if is_large and not one.is_localizer and (problem := reason(root, one)):
            folder = one.folder.relative_to(root) if one.folder.is_relative_to(root) else one.folder
            yield f"a series ({one.modality}, {len(one.images)} files) in {folder} is no case: {problem}"
