"""Cases in a folder: its volumes, its sub-folders with one volume each, or all DICOM series below it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.files import file_cases
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.batch.cases.patterns import pattern_cases
from gpu_infer.batch.cases.sub_folder import TABLE_REMEDY, sub_case, tree_series
from gpu_infer.batch.cases.tree import Tree, name_some, walk
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.input_files import PAIRED, extension, is_archive

if TYPE_CHECKING:
    from gpu_infer.volume.formats.dicom.study import StudySeries

log = logging.getLogger(__name__)


def folder_cases(folder: Path, options: CaseOptions) -> list[Case]:
    """The cases in `folder`, by path.

    Each volume file in it is a case, or each group `<case>_0000`, `<case>_0001`, …; each sub-folder with exactly one
    volume or DICOM series is a case that is named after it. Without any volume file, the folder is a DICOM root: each
    chosen series at any depth is a case.

    Raises:
        InputError: there is no case, or it is ambiguous what one is.
        ConfigError: the folder is the output folder, or the options contradict the files.
    """
    if folder.resolve() == options.output.resolve():
        raise ConfigError(
            f"{folder}: is the input and the output folder, expected two folders",
            remedy="give another folder with --output; it may be in the input folder",
        )
    tree = walk(folder, options.output)
    if options.patterns:
        return pattern_cases(tree, options)
    _log_archives(tree)
    if not tree.volumes:
        return _dicom_root(tree, options)
    if too_deep := [parent for parent in tree.volumes if len(parent.relative_to(folder).parts) > 1]:
        raise InputError(
            f"{tree.volumes[too_deep[0]][0]}: a volume more than one folder below {folder}",
            remedy=f"{TABLE_REMEDY.format(folder)}; of DICOM studies, move other volumes away",
        )
    series = tree_series(tree, options)
    direct = file_cases(tree.volumes.get(folder, []), options, folder)
    if wrong := next((one for one in series if one.images and one.folder == folder), None):
        raise InputError(
            f"{folder}: volume files and slices of a DICOM series ({wrong.first.name}) are in one folder",
            remedy="put them into folders of their own",
        )
    by_top: dict[str, list[StudySeries]] = {}
    for one in series:
        by_top.setdefault(tree.top_of(one.folder), []).append(one)
    parts = {part.root: sub_case(part, by_top.get(part.root.name, []), options) for part in tree.sub_trees()}
    nested = [case for case in parts.values() if case is not None]
    if empty := [sub for sub, case in parts.items() if case is None]:
        log.warning("%s: sub-folders without a volume: %s", folder, name_some(empty))
    return sorted([*direct, *nested], key=lambda case: str(case.inputs[0]))


def _dicom_root(tree: Tree, options: CaseOptions) -> list[Case]:
    from gpu_infer.batch.cases.study import study_cases

    series = tree_series(tree, options)
    cases = study_cases(tree.root, series, options)
    if cases:
        return cases
    if packed := _archives(tree):
        remedy = f"if they are the studies, give them as a quoted glob such as '{tree.root}/*{packed[0].suffix}'"
        raise InputError(f"{tree.root}: no volume, found {name_some(packed)}", remedy=remedy)
    if not series:
        raise InputError(
            f"{tree.root}: no case found, expected volumes, or DICOM series at any depth",
            remedy="give a folder, a quoted glob or a .csv with the columns id,input",
        )
    chosen_by = f" that {options.series.source} chooses" if options.series is not None else ""
    raise InputError(
        f"{tree.root}: {len(series)} DICOM series, none of them is a volume{chosen_by}",
        remedy="gpu-infer series PATH describes the series of a study",
    )


def _archives(tree: Tree) -> list[Path]:
    """Files that are read if they are named, but never picked from a folder; DICOM files may be named .img, too."""
    files = [path for path in tree.others if not path.name.startswith(".")]
    return [path for path in files if is_archive(path) or (tree.volumes and extension(path) in PAIRED)]


def _log_archives(tree: Tree) -> None:
    if packed := _archives(tree):
        log.warning("%s: files that are cases only if they are named: %s", tree.root, name_some(packed))
