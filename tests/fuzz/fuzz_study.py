"""DICOM studies with changed bytes, as a folder, a zip archive or a medium with a DICOMDIR."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from case_runner import change_bytes, run_cases, workplace
from dicom_series import write_slice
from pydicom.fileset import FileSet

from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.volume.read import read_voxels
from gpu_infer.volume.series_rules import series_of_option

CHOICES = (None, "1", "2", "1.2.826.0.1.2", "SeriesNumber=2", "slices>3", "PatientID~te, spacing<9")
NAMES = (None, "{name}", "{PatientID}_{SeriesNumber}", "{SeriesDescription}")


@cache
def medium() -> dict[str, bytes]:
    """The files of a sound medium with two series, by path."""
    with TemporaryDirectory() as name:
        folder, files = Path(name), FileSet()
        for series in (1, 2):
            for number in range(2 + series):
                path = folder / f"{series}-{number}"
                tags = {"SeriesNumber": series, "StudyID": "1", "StudyDate": "20200101", "StudyTime": "1200"}
                write_slice(path, number, series=f"1.2.826.0.1.{series}", **tags)  # type: ignore[arg-type]
                files.add(path)
        files.write(folder / "medium")
        files._stage["t"].cleanup()
        root = folder / "medium"
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def make(rng: random.Random, folder: Path) -> Callable[[], object]:
    form = rng.choice(("folder", "zip", "DICOMDIR"))
    contents = {name: change_bytes(rng, data) if rng.random() < 0.3 else data for name, data in medium().items()}
    path = folder / ("study.zip" if form == "zip" else "study")
    if form == "zip":
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as out:
            for name, data in contents.items():
                out.writestr(name, data)
        path.write_bytes(change_bytes(rng, packed.getvalue()) if rng.random() < 0.7 else packed.getvalue())
    else:
        for name, data in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    choice = rng.choice(CHOICES)
    series = None if choice is None else series_of_option(choice)
    options = InputOptions(series=series, name=rng.choice(NAMES))

    def case() -> object:
        with open_input(path / "DICOMDIR" if form == "DICOMDIR" else path, options) as header:
            return read_voxels(header).data.sum()

    return case


def main(seconds: float, seed: int) -> int:
    return run_cases(make, seconds, seed, workplace("study"))
