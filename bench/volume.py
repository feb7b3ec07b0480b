"""How long to read a volume and to write labels? `python -m bench.volume [--input CT]`.

The same voxels as .nii.gz, .nii, .mhd and .nrrd, read by gpu_infer, nibabel, SimpleITK and MONAI (those that can);
uint8 labels of that grid written as MetaImage by gpu_infer and SimpleITK and as NIfTI by nibabel.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from bench import ct
from bench.measure import measure
from bench.output import Chart, Result, seconds, times
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti

OURS = "gpu_infer"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.volume", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats)


def run(path: Path | None, repeats: int) -> None:
    """Measure and publish bench/results/volume.*."""
    volume = ct.load(path)
    result = Result(
        "volume",
        f"Files: {ct.described(volume)}",
        ["what", "side", "median", "low … high", "against ours"],
        notes=["Ours, nibabel and SimpleITK keep the stored dtype; MONAI's loader makes float32 of it."],
    )
    groups: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for what, calls in _questions(volume, Path(scratch)).items():
            timings = measure(calls, repeats=repeats)
            for name, timing in timings.items():
                spread = f"{seconds(timing.low)} … {seconds(timing.high)}"
                ratio = times(timing.median, timings[OURS].median)
                result.rows.append([what, name, seconds(timing.median), spread, ratio])
            groups[what] = {name: timing.median for name, timing in timings.items()}
            result.data[what] = {name: timing.data() for name, timing in timings.items()}
    result.chart = Chart(groups, "seconds, median (logarithmic)")
    result.publish()


def _questions(volume: Any, folder: Path) -> dict[str, dict[str, Callable[[], Any]]]:
    """Per row of the table, the calls by side."""
    sitk.ProcessObject.GlobalWarningDisplayOff()  # of NIfTI's header fields, which MetaImage has no place for
    zipped = write_nifti(volume, folder, "ct.nii.gz")
    plain = write_nifti(volume, folder, "ct.nii")
    image = sitk.ReadImage(plain)
    meta, nrrd = folder / "ct.mhd", folder / "ct.nrrd"
    sitk.WriteImage(image, meta)
    sitk.WriteImage(image, nrrd)
    questions: dict[str, dict[str, Callable[[], Any]]] = {}
    for file in (zipped, plain, meta, nrrd):
        calls: dict[str, Callable[[], Any]] = {
            OURS: lambda file=file: touched(read_volume(file).data),
            "SimpleITK": lambda file=file: _by_itk(file),
        }
        if file in (zipped, plain):
            calls["nibabel"] = lambda file=file: touched(np.asanyarray(nib.load(file).dataobj))
            calls |= _monai(file)
        questions["read " + "".join(file.suffixes)] = calls
    labels = (volume.data[0] > 0).astype(np.uint8, order="K")
    view = labels.transpose(2, 1, 0)
    target = folder / "out"
    target.mkdir()

    def by_itk() -> None:
        written = sitk.GetImageFromArray(view)
        written.CopyInformation(image)
        sitk.WriteImage(written, target / "itk.mhd")

    def by_nibabel(name: str) -> None:
        nib.save(nib.Nifti1Image(labels, volume.geometry.affine), target / name)

    questions["write labels"] = {
        OURS + " .mhd": lambda: write_metaimage(labels, volume.geometry, target, "ours"),
        "SimpleITK .mhd": by_itk,
        "nibabel .nii": lambda: by_nibabel("labels.nii"),
        "nibabel .nii.gz": lambda: by_nibabel("labels.nii.gz"),
    }
    questions["write labels"] = {name.removesuffix(" .mhd"): call for name, call in questions["write labels"].items()}
    return questions


def _monai(file: Path) -> dict[str, Callable[[], Any]]:
    try:
        from monai.transforms import LoadImage
    except ImportError:
        return {}
    load = LoadImage(reader="NibabelReader", image_only=True)
    return {"MONAI": lambda: load(file)}


def _by_itk(file: Path) -> Any:
    image = sitk.ReadImage(file)  # must outlive the view of its voxels
    return touched(sitk.GetArrayViewFromImage(image))


def touched(data: Any) -> Any:
    """The largest value: a reader that maps the file has to have read it."""
    return data.max()


if __name__ == "__main__":
    main()
