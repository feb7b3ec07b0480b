"""How long does each format of a label map take, and how large is it? `python -m bench.formats [--input LABELS]`.

Labels of a volume (two lungs, or those of --input) written by gpu_infer in every format, by nibabel and by SimpleITK in
those that they write; then .nii.gz with every level of ISA-L and with zlib's levels 1 and 6. Every call writes to the
same folder, by default one in the folder for temporary files. Without SimpleITK its rows are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bench.support import ct
from bench.support.measure import measure, peak_of
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, seconds, times
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers import gzip_member
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

OURS = "gpu_infer"
HAS_ITK = importlib.util.find_spec("SimpleITK") is not None
ISAL_LEVELS = (0, 1, 2, 3)
ZLIB_LEVELS = (1, 6)
MOST_LABELS = 256


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.formats", description=__doc__)
    parser.add_argument("--input", type=Path, help="a label map; default: two lungs in 512×512×275 voxels")
    parser.add_argument("--repeats", type=int, default=5)
    add_results(parser)
    arguments = parser.parse_args()
    labels, geometry, title = read(arguments.input)
    run(labels, geometry, title, arguments.repeats, folder=arguments.results)


def read(path: Path | None, shape: tuple[int, int, int] = (512, 512, 275)) -> tuple[Any, Geometry, str]:
    """Labels [I, J, K] as uint8 or uint16, their grid, and a title."""
    if path is None:
        volume = ct.phantom(shape)
        air = volume.data[0] < -500
        air &= np.hypot(*np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j])[:, :, None] < 0.75
        labels = air.astype(np.uint8, order="K")
        labels[shape[0] // 2 :] *= 2
        return labels, volume.geometry, f"two lungs, {'×'.join(map(str, shape))} uint8"
    volume = ct.load(path)
    largest = int(volume.data.max())
    labels = volume.data[0].astype(np.uint8 if largest < MOST_LABELS else np.uint16, order="K")
    return labels, volume.geometry, ct.described(volume)


def run(
    labels: Any, geometry: Geometry, title: str, repeats: int, *, with_itk: bool = HAS_ITK, folder: Path = RESULTS
) -> None:
    """Measure and publish formats.*; `with_itk` false: skip what needs SimpleITK."""
    result = Result(
        "formats",
        f"Formats of label maps: {title}",
        ["what", "side", "median", "low … high", "against ours", "MB"],
        keys=2,
        notes=[f"Ours includes the check of an older file, fsync, and the rename. Level {gzip_member.LEVEL} is used."],
    )
    if not with_itk:
        result.notes.append("SimpleITK is not installed: its rows are left out.")
    groups: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for what, calls in questions(labels, geometry, Path(scratch), with_itk).items():
            timings = measure({name: call for name, (call, _) in calls.items()}, repeats=repeats)
            first = timings[next(iter(timings))].median
            for name, timing in timings.items():
                spread = f"{seconds(timing.low)} … {seconds(timing.high)}"
                nbytes = calls[name][1]()
                row = [what, name, seconds(timing.median), spread, times(timing.median, first), f"{nbytes / 1e6:.2f}"]
                result.rows.append(row)
                result.data.setdefault(what, {})[name] = timing.data() | {"bytes": nbytes}
            groups[what] = {name: timing.median for name, timing in timings.items()}
    peaks = {each: peak_of(_ours_alone, each, labels, geometry).work_bytes for each in FORMATS}
    result.notes.append(
        "Memory in addition to the labels: "
        + ", ".join(f"{each} {mebibytes(nbytes)}" for each, nbytes in peaks.items())
    )
    result.data["work_bytes"] = peaks
    result.chart = Chart(groups, "seconds, median (logarithmic)")
    result.publish(folder)


Call = tuple[Callable[[], Any], Callable[[], int]]
"""What is timed, and the size of its result."""


def questions(labels: Any, geometry: Geometry, folder: Path, with_itk: bool) -> dict[str, dict[str, Call]]:
    """Per row of the table, the calls by side."""
    asked: dict[str, dict[str, Call]] = {}
    for each in FORMATS:
        calls: dict[str, Call] = {}
        ours = [folder / f"ours.{each}", *([folder / "ours.raw"] if each == "mhd" else [])]
        calls[OURS] = (lambda each=each: _ours(each, labels, geometry, folder), lambda files=ours: _size(files))
        if each.startswith("nii"):
            file = folder / f"nibabel.{each}"
            calls["nibabel"] = (lambda file=file: _nibabel(labels, geometry, file), lambda file=file: _size([file]))
        if with_itk and each != "seg.nrrd":
            file = folder / f"itk.{each}"
            files = [file, *([folder / "itk.raw"] if each == "mhd" else [])]
            is_packed = each in ("nii.gz", "nrrd")
            calls["SimpleITK"] = (
                lambda file=file, is_packed=is_packed: _itk(labels, geometry, file, is_packed),
                lambda files=files: _size(files),
            )
        asked[f"write .{each}"] = calls
    return asked | {"gzip alone": _levels(labels)}


def _levels(labels: Any) -> dict[str, Call]:
    """Compression in memory by level."""
    content = np.ascontiguousarray(labels.T).reshape(-1).view(np.uint8).data
    calls: dict[str, Call] = {}
    for level in ISAL_LEVELS:
        call = _isal(content, level)
        calls[f"ISA-L {level}"] = (call, lambda call=call: len(call()))
    for level in ZLIB_LEVELS:
        pack = lambda level=level: zlib.compress(content, level)  # noqa: E731
        calls[f"zlib {level}"] = (pack, lambda pack=pack: len(pack()))
    return calls


def _isal(content: memoryview, level: int) -> Callable[[], bytes]:
    def call() -> bytes:
        usual, gzip_member.LEVEL = gzip_member.LEVEL, level
        try:
            file = io.BytesIO()
            step = 1 << 24
            blocks = (content[at : at + step] for at in range(0, len(content), step))
            gzip_member.write_member(file, blocks, "bench")
        finally:
            gzip_member.LEVEL = usual
        return file.getvalue()

    return call


def _ours(each: Any, labels: Any, geometry: Geometry, folder: Path) -> None:
    write_label_maps({"model": LabelMap(labels, labels.dtype, (each,))}, geometry, folder, "ours")


def _ours_alone(each: Any, labels: Any, geometry: Geometry) -> Callable[[], object]:
    """One format in a process of its own, after a small map has loaded the libraries."""
    folder = Path(tempfile.mkdtemp())
    _ours(each, labels[:2, :2, :2], Geometry((2, 2, 2), np.eye(4)), folder)

    def call() -> None:
        try:
            _ours(each, labels, geometry, folder)
        finally:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    return call


def _nibabel(labels: Any, geometry: Geometry, file: Path) -> None:
    nib.save(nib.Nifti1Image(labels, geometry.affine), file)


def _itk(labels: Any, geometry: Geometry, file: Path, is_packed: bool) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(labels.transpose(2, 1, 0))
    spacing, origin, direction = geometry.to_itk()
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    sitk.WriteImage(image, file, is_packed)


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
