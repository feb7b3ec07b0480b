"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class RunResult:
    """The files of a run and the content of its report.

    output      the first label map: its .mhd if it has one, else the file of its first format. In index space, which
                has no label maps, the first DICOM file, or the output folder if no label occurs
    raw         the voxels of the .mhd
    label_maps  the files of all label maps that programs open
    own         the files of custom writers
    """

    output: Path
    raw: Path | None
    report: Path | None
    data: dict[str, Any]
    published: list[Path] = field(default_factory=list)
    previews: list[Path] = field(default_factory=list)
    label_maps: list[Path] = field(default_factory=list)
    page: Path | None = None
    dicom: list[Path] = field(default_factory=list)
    scores: list[Path] = field(default_factory=list)
    statistics: list[Path] = field(default_factory=list)
    own: list[Path] = field(default_factory=list)
