"""Compressed frames decoded in threads: values, order and errors are those of one thread, and memory is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames

from bench.support.measure import peak_of
from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom import pixels
from gpu_infer.volume.formats.dicom.codec import Encoded, decode, decoding_threads
from gpu_infer.volume.formats.dicom.series import read_series

COUNT, THREADS = 24, 4


def image(number: int, side: int = 70) -> Any:
    return np.random.default_rng(number).integers(0, 4096, (side, side)).astype(np.uint16)


def write(folder: Path, compressor: str, count: int = COUNT, side: int = 70) -> Path:
    """A series whose slices ITK's encoder compressed; slice n is `image(n)`."""
    folder.mkdir()
    for n in range(count):
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(folder / f"{n:02}.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(image(n, side)[None]))
        ds = dcmread(folder / f"{n:02}.dcm")
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.PatientID = "1.2.3", "1.2.4", "one"
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, n], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.Modality, ds.FrameOfReferenceUID = [1, 1], "CT", "1.2.5"
        ds.save_as(folder / f"{n:02}.dcm")
    return folder


def jobs_of(folder: Path) -> list[Encoded]:
    frames = read_series(folder).frames
    return [
        Encoded(str(f.file.path), f.file.pixels_at, f.file.size, f.file.syntax, f.number, f.file.frames, *f.pixels)
        for f in frames
    ]


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_values_and_order_do_not_depend_on_threads(tmp_path: Path, compressor: str) -> None:
    jobs = jobs_of(write(tmp_path / "s", compressor))
    for threads in (1, 2, THREADS):
        _, arrays = decode(jobs, threads)
        np.testing.assert_array_equal(np.stack(arrays), np.stack([image(n) for n in range(COUNT)]))


def change_stream(path: Path, change: Any) -> None:
    ds = dcmread(path)
    ds.PixelData = encapsulate(change(next(generate_frames(ds.PixelData, number_of_frames=1))))
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)


def test_the_error_is_that_of_the_first_damaged_frame(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", "JPEG2000", 8)
    jobs = jobs_of(folder)
    change_stream(folder / "03.dcm", lambda stream: [b"\x00" * len(stream)])
    data = (folder / "04.dcm").read_bytes()
    (folder / "04.dcm").write_bytes(data[: jobs[4].pixels_at] + b"\xff" * (len(data) - jobs[4].pixels_at))
    for threads in (1, 2, THREADS):
        with pytest.raises(InputError, match=r"03\.dcm: truncated or damaged slice: GDCM cannot decode it"):
            decode(jobs, threads)


def test_frames_of_one_file_keep_their_order(tmp_path: Path) -> None:
    """A file of several frames is read once; each frame is a job."""
    folder = write(tmp_path / "s", "JPEG2000", 6)
    jobs = jobs_of(folder)
    streams = [next(generate_frames(dcmread(job.path).PixelData, number_of_frames=1)) for job in jobs]
    data = encapsulate(streams)
    (folder / "all").write_bytes(data)
    together = [
        job._replace(path=str(folder / "all"), pixels_at=0, size=len(data), number=n, frames=6)
        for n, job in enumerate(jobs)
    ]
    _, arrays = decode(together[::-1], THREADS)
    np.testing.assert_array_equal(np.stack(arrays), np.stack([image(n) for n in reversed(range(6))]))


def decoder(jobs: list[Encoded]) -> Any:
    decode(jobs[:1])  # loads the codec
    return lambda: decode(jobs, THREADS)


def test_memory_is_within_what_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "s", "JPEG2000", 6, side=1024)
    frames = read_series(folder).frames
    monkeypatch.setattr(pixels, "decoding_threads", lambda: THREADS)
    peak = peak_of(decoder, jobs_of(folder))
    result = sum(f.pixels.nbytes for f in frames)
    assert peak.work_bytes <= result + pixels._codec_bytes(frames)


def test_the_plan_counts_frames_and_files_of_every_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = read_series(write(tmp_path / "s", "JPEG", 6)).frames
    size = max(f.file.size for f in frames)
    for threads, files in ((1, 1), (THREADS, 4), (8, 6)):
        monkeypatch.setattr(pixels, "decoding_threads", lambda threads=threads: threads)
        assert pixels._codec_bytes(frames) == 8 * files * 70 * 70 * 2 + 4 * files * size
    assert 1 <= decoding_threads() <= 4
