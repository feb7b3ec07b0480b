"""How long to read a volume and to write labels? `python -m bench.files [--input CT]`.

The same voxels as .nii.gz, .nii, .mhd and .nrrd, and the first slices as DICOM series, read by gpu_infer, nibabel,
SimpleITK and MONAI (those that can); uint8 labels of that grid written as MetaImage by gpu_infer and SimpleITK and as
NIfTI by nibabel. Without SimpleITK its rows and the formats that need it (.mhd, .nrrd, DICOM) are skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bench.sides.dicom_series import SLICES, read_by_itk, write_series
from bench.support import ct
from bench.support.measure import measure
from bench.support.output import RESULTS, Chart, Result, add_results, seconds, times
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti

OURS = "gpu_infer"
DICOM = {f"DICOM, {SLICES} slices": None, f"JPEG 2000 DICOM, {SLICES} slices": "JPEG2000"}
"""Series by the name of their row; the codec of each."""
HAS_ITK = importlib.util.find_spec("SimpleITK") is not None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.files", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats, folder=arguments.results)


def run(path: Path | None, repeats: int, *, with_itk: bool = HAS_ITK, folder: Path = RESULTS) -> None:
    """Measure and publish files.*; `with_itk` false: skip what needs SimpleITK."""
    volume = ct.load(path)
    result = Result(
        "files",
        f"Files: {ct.described(volume)}",
        ["what", "side", "median", "low … high", "against ours"],
        notes=["Ours, nibabel and SimpleITK keep the stored dtype; MONAI's loader makes float32 of it."],
        keys=2,
    )
    if not with_itk:
        result.notes.append("SimpleITK is not installed: its rows, .mhd, .nrrd and DICOM are left out.")
        result.data["skipped"] = ["SimpleITK", "read .mhd", "read .nrrd", *(f"read {what}" for what in DICOM)]
    groups: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for what, calls in _questions(volume, Path(scratch), with_itk).items():
            timings = measure(calls, repeats=repeats)
            for name, timing in timings.items():
                spread = f"{seconds(timing.low)} … {seconds(timing.high)}"
                ratio = times(timing.median, timings[OURS].median)
                result.rows.append([what, name, seconds(timing.median), spread, ratio])
            groups[what] = {name: timing.median for name, timing in timings.items()}
            result.data[what] = {name: timing.data() for name, timing in timings.items()}
    result.chart = Chart(groups, "seconds, median (logarithmic)")
    result.publish(folder)


def _questions(volume: Volume, folder: Path, with_itk: bool) -> dict[str, dict[str, Callable[[], Any]]]:
    """Per row of the table, the calls by side."""
    files = [write_nifti(volume, folder, "ct.nii.gz"), write_nifti(volume, folder, "ct.nii")]
    labels = (volume.data[0] > 0).astype(np.uint8, order="K")
    target = folder / "out"
    target.mkdir()
    writers: dict[str, Callable[[], Any]] = {
        OURS: lambda: write_metaimage(labels, volume.geometry, target, "ours"),
        "nibabel .nii": lambda: _write_by_nibabel(labels, volume, target / "labels.nii"),
        "nibabel .nii.gz": lambda: _write_by_nibabel(labels, volume, target / "labels.nii.gz"),
    }
    if with_itk:
        image = _itk_image(files[1])
        files += _itk_files(image, volume, folder)
        writers["SimpleITK"] = lambda: _write_by_itk(labels, image, target / "itk.mhd")
    questions: dict[str, dict[str, Callable[[], Any]]] = {}
    for file in files:
        calls: dict[str, Callable[[], Any]] = {OURS: lambda file=file: touched(read_volume(file).data)}
        if with_itk:
            calls["SimpleITK"] = lambda file=file: _by_itk(file)
        if ".nii" in file.suffixes:
            calls["nibabel"] = lambda file=file: touched(np.asanyarray(nib.load(file).dataobj))
            calls |= _monai(file)
        questions["read " + "".join(file.suffixes)] = calls
    if with_itk:
        for what, compressor in DICOM.items():
            series = write_series(volume, folder / what, compressor)
            questions[f"read {what}"] = {
                OURS: lambda series=series: touched(read_volume(series).data),
                "SimpleITK": lambda series=series: read_by_itk(series),
            }
    return questions | {"write labels": writers}


def _write_by_nibabel(labels: Any, volume: Volume, file: Path) -> None:
    nib.save(nib.Nifti1Image(labels, volume.geometry.affine), file)


def _itk_image(file: Path) -> Any:
    import SimpleITK as sitk

    sitk.ProcessObject.GlobalWarningDisplayOff()  # of NIfTI's header fields, which MetaImage lacks
    return sitk.ReadImage(file)


def _itk_files(image: Any, volume: Volume, folder: Path) -> list[Path]:
    """The volume as MetaImage, by our own writer, and as NRRD."""
    import SimpleITK as sitk

    meta, _ = write_metaimage(volume.data[0], volume.geometry, folder, "ct")
    nrrd = folder / "ct.nrrd"
    sitk.WriteImage(image, nrrd)
    return [meta, nrrd]


def _write_by_itk(labels: Any, image: Any, file: Path) -> None:
    import SimpleITK as sitk

    written = sitk.GetImageFromArray(labels.transpose(2, 1, 0))
    written.CopyInformation(image)
    sitk.WriteImage(written, file)


def _monai(file: Path) -> dict[str, Callable[[], Any]]:
    try:
        from monai.transforms import LoadImage
    except ImportError:
        return {}
    load = LoadImage(reader="NibabelReader", image_only=True)
    return {"MONAI": lambda: load(file)}


def _by_itk(file: Path) -> Any:
    import SimpleITK as sitk

    image = sitk.ReadImage(file)  # must outlive the view of its voxels
    return touched(sitk.GetArrayViewFromImage(image))


def touched(data: Any) -> Any:
    """The largest value, so that a reader that maps the file has to read it."""
    return data.max()


if __name__ == "__main__":
    main()
