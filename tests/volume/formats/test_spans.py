"""Compressed files that inflate to far more than the volume, and streams that have less than the header declares."""

from __future__ import annotations

import gzip
import resource
import signal
import threading
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.formats import spans
from gpu_infer.volume.read import read_volume

VOXELS = np.arange(60, dtype="<i2").reshape(3, 4, 5)
MIB = 1 << 20


def nifti(offset: float = 352.0) -> bytes:
    image = nib.Nifti1Image(VOXELS, np.diag([1.0, 2, 3, 1]))
    raw = bytearray(image.to_bytes())
    raw[108:112] = np.float32(offset).tobytes()
    return bytes(raw)


def zeros(mib: int) -> bytes:
    """A deflate stream that expands to so many MiB of zeros, without its end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mib)) + packer.flush(zlib.Z_FULL_FLUSH)


@pytest.mark.parametrize("tail", [b"", bytes(100), bytes(MIB)])
def test_up_to_a_mebibyte_may_follow(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(nifti() + tail))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data[0], VOXELS)
    assert volume.warnings == ()


def test_the_rest_of_a_bomb_is_not_read(tmp_path: Path) -> None:
    """The bytes more than 1 MiB after the voxels are damaged: inflating them would be refused."""
    path = tmp_path / "v.nii.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(nifti()) + b"".join(packer.compress(bytes(MIB)) for _ in range(64))
    path.write_bytes(head + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 100)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data[0], VOXELS)
    assert [w for w in volume.warnings if "more than 1 MiB follows the voxels" in w]


def test_members_without_content_end_at_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(nifti()) + gzip.compress(b"") * (2 * MIB // 20) + b"\x1f damaged")
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data[0], VOXELS)
    assert [w for w in volume.warnings if "more than 1 MiB follows the voxels" in w]


def test_zeros_of_a_sparse_file_are_not_read_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(nifti()))
    with path.open("ab") as file:
        file.truncate(1 << 42)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data[0], VOXELS)
    assert volume.warnings == ()


def test_empty_members_before_the_voxels_have_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(b"") * 900 + gzip.compress(nifti()))
    np.testing.assert_array_equal(read_volume(path).data[0], VOXELS)
    path.write_bytes(gzip.compress(nifti()[:400]) + gzip.compress(b"") * 5000 + gzip.compress(nifti()[400:]))
    with pytest.raises(InputError, match="more than 1000 empty gzip members"):
        read_volume(path)


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """One call of zlib would expand 256 KiB of this stream to 256 MiB."""
    path = tmp_path / "v.nii.gz"
    path.write_bytes(zeros(300))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        read_volume(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (0, "vox_offset 0, expected a whole number of bytes from 352"),
        (16, "vox_offset 16, expected"),
        (348, "vox_offset 348, expected"),
        (-16, "vox_offset -16, expected"),
        (352.5, "vox_offset 352.5, expected"),
        (float("nan"), "vox_offset nan, expected"),
        (float("inf"), "vox_offset inf, expected"),
        (float("-inf"), "vox_offset -inf, expected"),
        (1e30, r"vox_offset 1e\+30, expected"),
        (2.0**40, "truncated: found (at most )?0 bytes|voxels begin"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_offsets_that_are_wrong(tmp_path: Path, offset: float, text: str, packed: bool) -> None:
    path = tmp_path / ("v.nii.gz" if packed else "v.nii")
    path.write_bytes(gzip.compress(nifti(offset)) if packed else nifti(offset))
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


def test_an_offset_after_extensions(tmp_path: Path) -> None:
    path = tmp_path / "v.nii"
    raw = nifti(1024)
    path.write_bytes(raw[:352] + bytes(672) + raw[352:])
    np.testing.assert_array_equal(read_volume(path).data[0], VOXELS)


def test_a_file_name_without_end_in_the_gzip_header(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    path.write_bytes(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (4 * MIB))
    with pytest.raises(InputError, match="truncated: found 0 bytes of header"):
        read_volume(path)


def test_signal_handlers_run_between_two_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    path = tmp_path / "v.raw"
    path.write_bytes(bytes(64))
    monkeypatch.setattr(spans, "_PIECE", 1)
    before = signal.signal(signal.SIGUSR1, stop)
    seen: list[int] = []
    real = spans.open_regular

    class Slow:
        """Sends the signal while the third piece is read."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Slow:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def seek(self, offset: int) -> None:
            self._file.seek(offset)

        def readinto(self, target: Any) -> int:
            seen.append(len(seen))
            if len(seen) == 3:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)  # type: ignore[arg-type]
            return int(self._file.readinto(target))

    monkeypatch.setattr(spans, "open_regular", lambda p: Slow(real(p)))
    try:
        with pytest.raises(Stop):
            spans.fill_span(path, 0, np.empty(64, np.uint8))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(seen) == 3
