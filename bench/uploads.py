"""How much sooner is a volume on the GPU if it is uploaded while it is read? `python -m bench.uploads`, on a GPU.

The same voxels as .nii.gz, .nii, .mhd with .raw and .mhd with .zraw, read by the operator's own functions: with an
upload that follows the reader, with one after it, and without any. Copies from one pinned buffer of the volume's size,
which would need no staging, show what that would save, and what it would cost to pin it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.sides.pinned import PinnedVolume
from bench.support import ct
from bench.support.measure import Timing, measure
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, seconds
from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.choose import choose_backend
from gpu_infer.errors import GpuInferError
from gpu_infer.volume.read import read_header, read_volume, read_voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti

QUICK = (256, 256, 320)
EARLY, LATE, ALONE = "upload while reading", "upload after reading", "reading alone"
STAGED, PIN, COPY = "upload alone, staged", "pin memory of its size", "copy from pinned memory of its size"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.uploads", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--quick", action="store_true", help="256×256×320 voxels instead of 512×512×200")
    parser.add_argument("--repeats", type=int, default=5)
    add_results(parser)
    arguments = parser.parse_args()
    try:
        volume = ct.phantom(QUICK) if arguments.quick else ct.load(arguments.input)
        run(choose_backend("gpu"), volume, arguments.repeats, folder=arguments.results)
    except GpuInferError as error:
        sys.exit(f"bench.uploads needs a GPU: {error}")


def run(backend: Backend, volume: Volume, repeats: int, *, folder: Path = RESULTS) -> Result:
    """Measure and publish uploads.*."""
    result = Result(
        "uploads",
        f"A volume on the GPU: {ct.described(volume)}",
        ["file", "what", "median", "low … high", "copied early"],
        notes=[
            "From the header to the last voxel on the GPU; files are in the page cache. Copied early: what had been "
            "copied before the reader was done, in the last repeat.",
            "Memory rows: the same bytes without a file. Pinning happens once per process, if the memory is kept.",
        ],
        keys=2,
    )
    groups: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for file in _files(volume, Path(scratch)):
            early: list[int] = []
            timings = measure(_ways(backend, file, early), repeats=repeats)
            name = ".zraw" if file.stem == "packed" else "".join(file.suffixes)
            _add(result, groups, name, timings, {EARLY: early[-1]})
    with PinnedVolume(backend, volume.nbytes) as pinned:
        calls: dict[str, Callable[[], object]] = {
            STAGED: lambda: _upload(backend, volume.data),
            PIN: pinned.pin_another,
            COPY: pinned.copy,
        }
        _add(result, groups, "memory", measure(calls, repeats=repeats), {})
    result.chart = Chart(groups, "seconds, median", logarithmic=False, baseline=EARLY)
    result.publish(folder)
    return result


def _ways(backend: Backend, file: Path, early: list[int]) -> dict[str, Callable[[], object]]:
    return {
        EARLY: lambda: early.append(_read_and_upload(backend, file)),
        LATE: lambda: _upload(backend, read_volume(file).data),
        ALONE: lambda: read_volume(file),
    }


def _read_and_upload(backend: Backend, file: Path) -> int:
    """As a run does it; the bytes that were copied early."""
    backend.start_run()
    header = read_header([file])
    with backend.open_upload() as upload:
        voxels = read_voxels(header, follower=upload).data
        array = upload.finish(voxels)
    backend.fence()
    del array
    return int(backend.counters()["bytes_up_early"])


def _upload(backend: Backend, voxels: Any) -> None:
    array = backend.upload(voxels)
    backend.fence()
    del array


def _add(
    result: Result, groups: dict[str, dict[str, float]], file: str, timings: dict[str, Timing], early: dict[str, int]
) -> None:
    for what, timing in timings.items():
        spread = f"{seconds(timing.low)} … {seconds(timing.high)}"
        copied = mebibytes(early[what]) if what in early else ""
        result.rows.append([file, what, seconds(timing.median), spread, copied])
    groups[file] = {what: timing.median for what, timing in timings.items()}
    result.data[file] = {what: timing.data() for what, timing in timings.items()}
    result.data[file] |= {"bytes_up_early": early[EARLY]} if early else {}


def _files(volume: Volume, folder: Path) -> list[Path]:
    data = volume.data[0]
    meta, _ = write_metaimage(data, volume.geometry, folder, "ct")
    packed = folder / "packed.mhd"
    text = meta.read_text(encoding="utf-8").replace("ct.raw", "packed.zraw")
    packed.write_text(text.replace("CompressedData = False", "CompressedData = True"), encoding="utf-8")
    voxels = np.ascontiguousarray(data.transpose(2, 1, 0))
    (folder / "packed.zraw").write_bytes(zlib.compress(voxels, level=1))
    return [write_nifti(volume, folder, "ct.nii.gz"), write_nifti(volume, folder, "ct.nii"), meta, packed]


if __name__ == "__main__":
    main()
