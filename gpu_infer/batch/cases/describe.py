"""What a dry run shows of the cases of a batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gpu_infer.batch.case import Case


class Row(NamedTuple):
    """One case. Paths begin at the folder of `describe`; the UID of a series is not shown.

    series  whether the input has several DICOM series, of which the case is one
    """

    id: str
    inputs: tuple[str, ...]
    channels: int
    series: bool


def describe(cases: Sequence[Case]) -> tuple[Path, list[Row]]:
    """The folder that has all inputs, and a row for each case, with paths from that folder on."""
    paths = [path for case in cases for path in case.inputs]
    folder = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    rows = [
        Row(
            case.id,
            tuple(str(path.relative_to(folder)) for path in case.inputs),
            len(case.inputs),
            case.series is not None,
        )
        for case in cases
    ]
    return folder, rows
