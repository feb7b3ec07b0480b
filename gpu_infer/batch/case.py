"""One case of a batch: its identifier and its input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One volume to segment.

    id      unique in the batch and a safe name of a folder: its outputs are in `<output>/<id>/`, named `<id>.*`
    inputs  the volume (a file, a folder, an archive); or one file per channel, in the order of the channels
    series  UID of the series, if the input is a DICOM study of several
    slices  the files of that series, so that the others are not read again
    """

    id: str
    inputs: tuple[Path, ...]
    series: str | None = None
    slices: tuple[Path, ...] = ()

    def public(self) -> dict[str, Any]:
        """What files and logs may contain: all but the UID of the series."""
        return {"id": self.id, "inputs": [str(path) for path in self.inputs]}
