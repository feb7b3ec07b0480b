"""Cases of volume files: one each, or one for each group of channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.channels import group_channels, has_channels
from gpu_infer.batch.cases.ids import make_id
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.errors import InputError
from gpu_infer.volume.case_name import case_name
from gpu_infer.volume.input_files import base_name


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
