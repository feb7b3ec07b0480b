"""Cases in a folder: its volumes, its sub-folders with one volume each, or all DICOM series below it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.channels import group_channels, has_channels
from gpu_infer.batch.cases.ids import folder_name, make_id
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.batch.cases.tree import Tree, name_some, walk
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.case_name import case_name
from gpu_infer.volume.input_files import PAIRED, base_name, choose_files, extension, is_archive

if TYPE_CHECKING:
    from gpu_infer.volume.formats.dicom.study import StudySeries

log = logging.getLogger(__name__)

_TABLE = "give a quoted glob such as '{}/**/*.nii.gz', or a table: a .csv with the columns id,input"


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
        return _pattern_cases(tree, options)
    _log_archives(tree)
    if not tree.volumes:
        return _dicom_root(tree, options)
    if too_deep := [parent for parent in tree.volumes if len(parent.relative_to(folder).parts) > 1]:
        raise InputError(
            f"{tree.volumes[too_deep[0]][0]}: a volume more than one folder below {folder}",
            remedy=_TABLE.format(folder),
        )
    series = _series(tree)
    direct = file_cases(tree.volumes.get(folder, []), options, folder)
    if wrong := next((one for one in series if one.images and one.folder == folder), None):
        raise InputError(
            f"{folder}: volume files and slices of a DICOM series ({wrong.first.name}) are in one folder",
            remedy="put them into folders of their own",
        )
    by_top: dict[str, list[StudySeries]] = {}
    for one in series:
        by_top.setdefault(tree.top_of(one.folder), []).append(one)
    parts = {part.root: _sub_case(part, by_top.get(part.root.name, []), options) for part in tree.sub_trees()}
    nested = [case for case in parts.values() if case is not None]
    if empty := [sub for sub, case in parts.items() if case is None]:
        log.warning("%s: sub-folders without a volume: %s", folder, name_some(empty))
    return sorted([*direct, *nested], key=lambda case: str(case.inputs[0]))


def one_case(folder: Path, options: CaseOptions) -> Case:
    """The one case that `folder` is. Raises `InputError` if it is none, or several."""
    if options.patterns:
        choose_files(folder, options.patterns)
        return Case(_folder_id(folder, options), (folder,))
    tree = walk(folder, options.output)
    case = _sub_case(tree, _series(tree), options)
    if case is None:
        raise InputError(f"{folder}: no volume in this folder", remedy="narrow the pattern, or leave the folder out")
    return case


def file_cases(files: Sequence[Path], options: CaseOptions, root: Path | None) -> list[Case]:
    """The cases of volume files, sorted by path: one each, or one for each group of channels.

    root  folder from which the path is part of the identifier; None: the names of files alone are

    Raises `InputError`.
    """
    if not files:
        return []
    if has_channels(files):
        groups = {case: tuple(channels) for case, channels in group_channels(files).items()}
    else:
        groups = {}
        for file in sorted(files, key=str):
            stem = file.with_name(base_name(file))
            if stem in groups:
                raise InputError(
                    f"{file}: has the name of {groups[stem][0].name} without extension, expected different names",
                    remedy="move one of the two away, or give a table: a .csv with the columns id,input",
                )
            groups[stem] = (file,)
    cases = []
    for stem, inputs in groups.items():
        if options.name is not None:
            name = make_id(case_name(stem, None, options.name))
        else:
            name = make_id(*(stem.relative_to(root).parts if root is not None else (stem.name,)))
        cases.append(Case(name, inputs))
    return cases


def _sub_case(tree: Tree, series: Sequence[StudySeries], options: CaseOptions) -> Case | None:
    """The case that is named after the folder of `tree`; None if it has neither a volume nor a DICOM series.

    series  in the folder and below
    """
    folder = tree.root
    if too_deep := [parent for parent in tree.volumes if parent != folder]:
        raise InputError(
            f"{tree.volumes[too_deep[0]][0]}: a volume below the folder of a case, {folder}",
            remedy=_TABLE.format(folder.parent),
        )
    volumes = tree.volumes.get(folder, [])
    has_images = any(one.images for one in series)
    if volumes and has_images:
        raise InputError(
            f"{folder}: volume files and {len(series)} DICOM series, expected one volume or one series",
            remedy="put them into folders of their own",
        )
    if volumes:
        inputs = tuple(volumes)
        if len(volumes) > 1:
            groups = list(group_channels(volumes).values()) if has_channels(volumes) else []
            if len(groups) != 1:
                names = name_some([Path(volume.name) for volume in volumes])
                raise InputError(
                    f"{folder}: {len(volumes)} volumes in a sub-folder, expected one: {names}",
                    remedy=_TABLE.format(folder.parent),
                )
            inputs = tuple(groups[0])
        return Case(_folder_id(folder, options), inputs)
    if not has_images:
        return None
    from gpu_infer.batch.cases.study import study_cases

    cases = study_cases(folder, series, options)
    if len(cases) != 1:
        raise InputError(
            f"{folder}: {len(series)} DICOM series, {len(cases) or 'none'} of them to take, expected one",
            remedy="give the DICOM studies as an input of their own: then each series is a case",
        )
    return cases[0] if options.name is not None else replace(cases[0], id=make_id(folder_name(folder)))


def _folder_id(folder: Path, options: CaseOptions) -> str:
    return make_id(folder_name(folder) if options.name is None else case_name(folder, None, options.name))


def _series(tree: Tree) -> list[StudySeries]:
    """The DICOM series of a tree; pydicom is imported only if there are files to look at."""
    if not tree.others:
        return []
    from gpu_infer.volume.formats.dicom.study import find_series

    return find_series(tree.others)


def _dicom_root(tree: Tree, options: CaseOptions) -> list[Case]:
    from gpu_infer.batch.cases.study import study_cases

    series = _series(tree)
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


def _pattern_cases(tree: Tree, options: CaseOptions) -> list[Case]:
    """Folders whose files are the channels of a case: the sub-folders, or the folder itself if it has no such one."""
    root, parents = tree.root, list(tree.volumes)
    folders = [root] if parents == [root] else [parent for parent in parents if parent.parent == root]
    if wrong := next((parent for parent in parents if parent not in folders), None):
        raise InputError(
            f"{tree.volumes[wrong][0]}: expected the files {', '.join(options.patterns)} in each sub-folder of {root}",
            remedy="give a table: a .csv with the columns id,input, where input is the folder of a case",
        )
    if not folders:
        raise InputError(
            f"{root}: no sub-folder with the files {', '.join(options.patterns)}",
            remedy="give the folder that has one folder per case",
        )
    for folder in folders:
        choose_files(folder, options.patterns)
    return [Case(_folder_id(folder, options), (folder,)) for folder in folders]


def _archives(tree: Tree) -> list[Path]:
    """Files that are read if they are named, but never picked from a folder; DICOM files may be named .img, too."""
    files = [path for path in tree.others if not path.name.startswith(".")]
    return [path for path in files if is_archive(path) or (tree.volumes and extension(path) in PAIRED)]


def _log_archives(tree: Tree) -> None:
    if packed := _archives(tree):
        log.warning("%s: files that are cases only if they are named: %s", tree.root, name_some(packed))
