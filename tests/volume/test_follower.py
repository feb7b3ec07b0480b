"""What a follower learns from the readers: every byte that is reported as filled has its final value."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from dicom_series import hounsfield, write_series

from gpu_infer.errors import InputError
from gpu_infer.volume.follower import Follower
from gpu_infer.volume.formats import spans
from gpu_infer.volume.formats.dicom import pixels
from gpu_infer.volume.read import read_header, read_voxels

SHAPE = (31, 23, 17)
VOXELS = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
AFFINE = np.diag([0.9, 1.1, 1.4, 1.0])
STEP = 4096


class Recorder(Follower):
    """Copies what is reported, as it is at that time."""

    step = STEP

    def __init__(self) -> None:
        self.memory: Any = None
        self.copied = bytearray()
        self.ends: list[int] = []
        self.rewinds = 0

    def begin(self, memory: Any) -> None:
        assert self.memory is None
        assert memory.flags.c_contiguous
        self.memory = memory

    def advance(self, end: int) -> None:
        assert len(self.copied) <= end
        self.copied += self.memory[len(self.copied) : end].tobytes()
        self.ends.append(end)

    def rewind(self, end: int) -> None:
        self.rewinds += bool(self.copied)
        del self.copied[end:]


def read(*paths: Path, nan: float | None = None) -> tuple[Any, Recorder]:
    """The voxels and what was recorded; the bytes that were copied are compared with those of the voxels."""
    recorder = Recorder()
    volume = read_voxels(read_header(paths), nan=nan, follower=recorder)
    if recorder.memory is not None:
        assert recorder.memory.nbytes == volume.data.nbytes
        assert np.shares_memory(recorder.memory, volume.data)
        assert bytes(recorder.copied) == recorder.memory[: len(recorder.copied)].tobytes()
    return volume.data, recorder


def nifti(path: Path, voxels: Any = VOXELS, order: str = "<") -> Path:
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(voxels.dtype.newbyteorder(order))
    nib.save(nib.Nifti1Image(voxels, AFFINE, header), path)
    return path


def meta(path: Path, packed: bool, parts: int = 1) -> Path:
    data = VOXELS.tobytes("F")
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        f"DimSize = {SHAPE[0]} {SHAPE[1]} {SHAPE[2]}",
        "ElementType = MET_SHORT",
    ]
    if parts > 1:
        size = len(data) // parts
        names = [f"{path.stem}{n:02}.raw" for n in range(1, parts + 1)]
        for n, name in enumerate(names):
            (path.parent / name).write_bytes(data[n * size : (n + 1) * size])
        lines += ["ElementDataFile = LIST", *names]
    else:
        name = f"{path.stem}.{'zraw' if packed else 'raw'}"
        (path.parent / name).write_bytes(zlib.compress(data) if packed else data)
        lines += [f"CompressedData = {packed}", f"ElementDataFile = {name}"]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def nrrd(path: Path) -> Path:
    lines = [
        *("NRRD0004", "type: short", "dimension: 3", f"sizes: {SHAPE[0]} {SHAPE[1]} {SHAPE[2]}"),
        *("encoding: gzip", "endian: little", "space: left-posterior-superior"),
        *("space directions: (1,0,0) (0,1,0) (0,0,1)", "space origin: (0,0,0)", "", ""),
    ]
    path.write_bytes("\n".join(lines).encode() + gzip.compress(VOXELS.tobytes("F")))
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "nii.gz": lambda folder: nifti(folder / "v.nii.gz"),
    "nii": lambda folder: nifti(folder / "v.nii"),
    "mhd": lambda folder: meta(folder / "v.mhd", packed=False),
    "zraw": lambda folder: meta(folder / "v.mhd", packed=True),
    "slices": lambda folder: meta(folder / "v.mhd", packed=False, parts=SHAPE[2]),
    "nrrd": lambda folder: nrrd(folder / "v.nrrd"),
}


@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_all_is_reported_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path]
) -> None:
    monkeypatch.setattr(spans, "_PIECE", STEP)
    monkeypatch.setattr(spans, "_BLOCK", STEP)
    data, recorder = read(write(tmp_path))
    np.testing.assert_array_equal(data[0], VOXELS)
    assert len(recorder.copied) == VOXELS.nbytes
    assert len(recorder.ends) >= min(VOXELS.nbytes // STEP, SHAPE[2])
    assert recorder.ends == sorted(recorder.ends)
    assert recorder.rewinds == 0


def test_a_stream_that_is_read_again_is_reported_again(tmp_path: Path) -> None:
    """Zeros after the stream: what was inflated straight into the array counts as nothing."""
    path = nifti(tmp_path / "v.nii.gz")
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw) + gzip.compress(raw)[-4:])  # ends like one member
    data, recorder = read(path)
    np.testing.assert_array_equal(data[0], VOXELS)
    assert recorder.rewinds == 1
    assert len(recorder.copied) == VOXELS.nbytes


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii.gz")
    packed = bytearray(path.read_bytes())
    packed[-8] ^= 1  # the check sum
    path.write_bytes(packed)
    recorder = Recorder()
    with pytest.raises(InputError, match="damaged compressed data"):
        read_voxels(read_header([path]), follower=recorder)
    assert recorder.rewinds == 1


def test_slices_of_a_series_are_reported(tmp_path: Path) -> None:
    write_series(tmp_path / "series", range(5))
    data, recorder = read(tmp_path / "series")
    np.testing.assert_array_equal(data, hounsfield(range(5)))
    assert recorder.ends == [(n + 1) * data.nbytes // 5 for n in range(5)]


def test_slices_that_are_decoded_out_of_order_wait_for_those_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressed slices of a series come after the others."""
    stored_frames = pixels._stored_frames

    def the_second_last(frames: Any) -> Any:
        yield from (pair for pair in stored_frames(frames) if pair[0] != 1)
        yield from (pair for pair in stored_frames(frames) if pair[0] == 1)

    monkeypatch.setattr(pixels, "_stored_frames", the_second_last)
    write_series(tmp_path / "series", range(5))
    data, recorder = read(tmp_path / "series")
    np.testing.assert_array_equal(data, hounsfield(range(5)))
    assert recorder.ends == [n * data.nbytes // 5 for n in (1, 1, 1, 1, 5)]


def test_channels_of_several_files_are_reported(tmp_path: Path) -> None:
    paths = [nifti(tmp_path / f"{n}.nii", VOXELS + np.int16(n)) for n in range(3)]
    data, recorder = read(*paths)
    assert recorder.ends == [VOXELS.nbytes * n for n in (1, 2, 3)]
    for n in range(3):
        np.testing.assert_array_equal(data[n], VOXELS + np.int16(n))


@pytest.mark.parametrize(
    ("dtype", "order", "nan"), [(np.int16, ">", None), (np.int64, "<", None), (np.float32, "<", 0.0)]
)
def test_voxels_that_change_after_they_are_read_are_not_reported(
    tmp_path: Path, dtype: Any, order: str, nan: float | None
) -> None:
    """Their bytes are swapped, they are converted, or NaN among them is replaced."""
    voxels = VOXELS.astype(dtype)
    data, recorder = read(nifti(tmp_path / "v.nii.gz", voxels, order), nan=nan)
    np.testing.assert_array_equal(data[0], voxels)
    assert recorder.memory is None
    assert recorder.ends == []
