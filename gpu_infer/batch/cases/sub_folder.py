"""A folder that is one case: it has one volume, the channels of one, or one DICOM series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.channels import group_channels, has_channels
from gpu_infer.batch.cases.ids import folder_name, make_id
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.batch.cases.tree import Tree, name_some, walk
from gpu_infer.errors import InputError
from gpu_infer.volume.case_name import case_name
from gpu_infer.volume.input_files import choose_files

if TYPE_CHECKING:
    from gpu_infer.volume.formats.dicom.study import StudySeries

TABLE_REMEDY = "give a quoted glob such as '{}/**/*.nii.gz', or a table: a .csv with the columns id,input"
"""With the folder of all cases."""


def one_case(folder: Path, options: CaseOptions) -> Case:
    """The one case that `folder` is. Raises `InputError` if it is none, or several."""
    if options.patterns:
        choose_files(folder, options.patterns)
        return Case(folder_id(folder, options), (folder,))
    tree = walk(folder, options.output)
    case = sub_case(tree, tree_series(tree, options), options)
    if case is None:
        raise InputError(f"{folder}: no volume in this folder", remedy="narrow the pattern, or leave the folder out")
    return case


def sub_case(tree: Tree, series: Sequence[StudySeries], options: CaseOptions) -> Case | None:
    """The case that is named after the folder of `tree`; None if it has neither a volume nor a DICOM series.

    series  in the folder and below
    """
    folder = tree.root
    if too_deep := [parent for parent in tree.volumes if parent != folder]:
        raise InputError(
            f"{tree.volumes[too_deep[0]][0]}: a volume below the folder of a case, {folder}",
            remedy=TABLE_REMEDY.format(folder.parent),
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
                    remedy=TABLE_REMEDY.format(folder.parent),
                )
            inputs = tuple(groups[0])
        return Case(folder_id(folder, options), inputs)
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


def folder_id(folder: Path, options: CaseOptions) -> str:
    return make_id(folder_name(folder) if options.name is None else case_name(folder, None, options.name))


def tree_series(tree: Tree, options: CaseOptions) -> list[StudySeries]:
    """The DICOM series of a tree; pydicom is imported only if there are files to look at."""
    if not tree.others:
        return []
    from gpu_infer.volume.formats.dicom.study import find_series

    return find_series(tree.others, options.tilt)
