"""How long to read a volume and to write labels, and with how much memory? `python -m bench.files [--input CT]`.

The same voxels as .nii, .mhd and .nrrd, compressed and not, and the first slices as DICOM series, read by gpu_infer,
nibabel, SimpleITK and MONAI (those that can); uint8 labels of that grid written as MetaImage by gpu_infer and SimpleITK
and as NIfTI by nibabel. Without SimpleITK its rows and the formats that need it (.mhd, .nrrd, DICOM) are skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from bench.sides import readers
from bench.sides.dicom_series import SLICES, write_series
from bench.support import ct
from bench.support.measure import Timing, measure, peak_of
from bench.support.output import RESULTS, Chart, Result, add_results, seconds, times
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti

OURS, ITK = "gpu_infer", "SimpleITK"
DICOM = {"DICOM": None, "JPEG 2000 DICOM": "JPEG2000"}
"""Series by the name of their row; the codec of each."""
PACKED = {".mhd": "read .mhd, zlib", ".nrrd": "read .nrrd, gzip"}
"""Rows of what SimpleITK compresses, by extension."""
PLAIN = ("read .mhd", "read .nrrd")
HAS_ITK = importlib.util.find_spec(ITK) is not None
NOTES = (
    "Ours, nibabel and SimpleITK keep the stored dtype; MONAI's loader makes float32 of it.",
    f"The DICOM series have the first {SLICES} slices.",
    "Memory: what reading adds to the resident memory of a process, as a multiple of the stored voxels. Pages of a "
    "mapped file count. Of JPEG 2000, that of our decoding child process is not included.",
)


class Reading(NamedTuple):
    """A volume to read: its row, its file or folder, the bytes of its voxels, and the readers by side."""

    what: str
    path: Path
    nbytes: int
    sides: dict[str, readers.Maker]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.files", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--memory", action=argparse.BooleanOptionalAction, default=True, help="peak memory, in a process per reader"
    )
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats, memory=arguments.memory, folder=arguments.results)


def run(
    path: Path | None, repeats: int, *, memory: bool = True, with_itk: bool = HAS_ITK, folder: Path = RESULTS
) -> None:
    """Measure and publish files.*; `with_itk` false: skip what needs SimpleITK."""
    volume = ct.load(path)
    columns = ["what", "side", "median", "low … high", "against ours", "memory"]
    result = Result("files", f"Files: {ct.described(volume)}", columns, notes=list(NOTES), keys=2)
    if not with_itk:
        result.notes.append("SimpleITK is not installed: its rows, .mhd, .nrrd and DICOM are left out.")
        result.data["skipped"] = [ITK, *PLAIN, *PACKED.values(), *(f"read {what}" for what in DICOM)]
    groups: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for reading in _readings(volume, Path(scratch), with_itk):
            calls = {name: make(reading.path) for name, make in reading.sides.items()}
            added = {name: peak_of(make, reading.path) for name, make in reading.sides.items()} if memory else {}
            groups[reading.what] = _add_rows(
                result,
                reading.what,
                measure(calls, repeats=repeats),
                {name: f"{peak.work_bytes / reading.nbytes:.2f}×" for name, peak in added.items()},
            )
            for name, peak in added.items():
                result.data[reading.what][name]["memory"] = peak.data() | {"voxel_bytes": reading.nbytes}
        writers = _writers(volume, Path(scratch), with_itk)
        groups["write labels"] = _add_rows(result, "write labels", measure(writers, repeats=repeats), {})
    result.chart = Chart(groups, "seconds, median (logarithmic)")
    result.publish(folder)


def _add_rows(result: Result, what: str, timings: dict[str, Timing], memory: dict[str, str]) -> dict[str, float]:
    """A row per side, and its data. Returns the medians for the chart."""
    for name, timing in timings.items():
        spread = f"{seconds(timing.low)} … {seconds(timing.high)}"
        ratio = times(timing.median, timings[OURS].median)
        result.rows.append([what, name, seconds(timing.median), spread, ratio, memory.get(name, "")])
    result.data[what] = {name: timing.data() for name, timing in timings.items()}
    return {name: timing.median for name, timing in timings.items()}


def _readings(volume: Volume, folder: Path, with_itk: bool) -> Iterator[Reading]:
    """One row of the table after the other; its files are written when it is asked for."""
    both: dict[str, readers.Maker] = {OURS: readers.ours_of}
    if with_itk:
        both[ITK] = readers.itk_of
    nifti = {**both, "nibabel": readers.nibabel_of}
    if importlib.util.find_spec("monai") is not None:
        nifti["MONAI"] = readers.monai_of
    nbytes = volume.data.nbytes
    yield Reading("read .nii.gz", write_nifti(volume, folder, "ct.nii.gz"), nbytes, nifti)
    plain = write_nifti(volume, folder, "ct.nii")
    yield Reading("read .nii", plain, nbytes, nifti)
    if not with_itk:
        return
    image = _itk_image(plain)
    meta, _ = write_metaimage(volume.data[0], volume.geometry, folder, "ct")
    nrrd = _written_by_itk(image, folder / "ct.nrrd", packed=False)
    for what, file in zip(PLAIN, (meta, nrrd), strict=True):
        yield Reading(what, file, nbytes, both)
    for extension, what in PACKED.items():
        yield Reading(what, _written_by_itk(image, folder / f"packed{extension}", packed=True), nbytes, both)
    count = min(SLICES, volume.geometry.shape[2])
    for name, compressor in DICOM.items():
        series = write_series(volume, folder / name, compressor)
        slices = volume.data[..., :count].nbytes
        yield Reading(f"read {name}", series, slices, {OURS: readers.ours_of, ITK: readers.itk_series_of})


def _writers(volume: Volume, folder: Path, with_itk: bool) -> dict[str, Callable[[], Any]]:
    """The calls by side."""
    labels = (volume.data[0] > 0).astype(np.uint8, order="K")
    target = folder / "out"
    target.mkdir()
    writers: dict[str, Callable[[], Any]] = {
        OURS: lambda: write_metaimage(labels, volume.geometry, target, "ours"),
        "nibabel .nii": lambda: _write_by_nibabel(labels, volume, target / "labels.nii"),
        "nibabel .nii.gz": lambda: _write_by_nibabel(labels, volume, target / "labels.nii.gz"),
    }
    if with_itk:
        image = _itk_image(folder / "ct.nii")
        writers[ITK] = lambda: _write_by_itk(labels, image, target / "itk.mhd")
    return writers


def _write_by_nibabel(labels: Any, volume: Volume, file: Path) -> None:
    nib.save(nib.Nifti1Image(labels, volume.geometry.affine), file)


def _itk_image(file: Path) -> Any:
    import SimpleITK as sitk

    sitk.ProcessObject.GlobalWarningDisplayOff()  # of NIfTI's header fields, which MetaImage lacks
    return sitk.ReadImage(file)


def _written_by_itk(image: Any, file: Path, *, packed: bool) -> Path:
    import SimpleITK as sitk

    sitk.WriteImage(image, file, packed)
    return file


def _write_by_itk(labels: Any, image: Any, file: Path) -> None:
    import SimpleITK as sitk

    written = sitk.GetImageFromArray(labels.transpose(2, 1, 0))
    written.CopyInformation(image)
    sitk.WriteImage(written, file)


if __name__ == "__main__":
    main()
