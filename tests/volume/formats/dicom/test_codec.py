"""Transfer syntaxes: uncompressed ones, and compressed ones that GDCM decodes in a child process."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import hounsfield, refused, write_enhanced, write_series
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from gpu_infer.volume.read import read_volume

SIZE = (24, 20)  # rows, columns: ITK's encoder of JPEG 2000 crashes on slices of a few pixels


def image(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 60_000, SIZE).astype(np.uint16)


def write(folder: Path, count: int, **tags: object) -> Path:
    """Slices of 16 bits with the pixels of `image`; value = stored − 1024."""
    rows, columns = SIZE
    bits = {"BitsStored": 16, "HighBit": 15, "Rows": rows, "Columns": columns}
    for n in range(count):
        write_series(folder, [n], **{**bits, "PixelData": image(n).tobytes(), **tags})
    return folder


def expected(count: int) -> np.ndarray:
    return np.stack([image(n).T.astype(int) - 1024 for n in range(count)], axis=-1)[None]


def to_rle(folder: Path) -> Path:
    for path in folder.iterdir():
        ds = dcmread(path)
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.save_as(path)
    return folder


def to_itk_codec(folder: Path, compressor: str) -> Path:
    """The pixels of every slice in a stream of ITK's encoder; all other elements stay."""
    stream = folder.parent / "stream.dcm"
    for path in folder.iterdir():
        ds = dcmread(path)
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(stream))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        dtype = np.int16 if ds.PixelRepresentation else np.uint16
        writer.Execute(sitk.GetImageFromArray(np.frombuffer(ds.PixelData, dtype).reshape(1, ds.Rows, ds.Columns)))
        encoded = dcmread(stream)
        ds.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
        ds.PixelData = encoded.PixelData
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
        ds.save_as(path)
    return folder


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_syntaxes(tmp_path: Path, syntax: UID) -> None:
    folder = write_series(tmp_path / "s", range(3))
    for path in folder.iterdir():
        ds = dcmread(path)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    np.testing.assert_array_equal(read_volume(folder).data, hounsfield(range(3)))


def test_big_endian(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3))
    for path in folder.iterdir():
        ds = dcmread(path)
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
        for element in ds:
            assert element.value is not None  # converted now: its bytes are still little endian
        dcmwrite(path, ds, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(read_volume(folder).data, hounsfield(range(3)))


@pytest.mark.parametrize("codec", ["RLE", "JPEG", "JPEG2000"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_compressed_syntaxes(tmp_path: Path, codec: str, photometric: str) -> None:
    folder = write(tmp_path / "s", 3, PhotometricInterpretation=photometric)
    to_rle(folder) if codec == "RLE" else to_itk_codec(folder, codec)
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.data, expected(3))
    assert volume.warnings == ()


@pytest.mark.parametrize("codec", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_signed(tmp_path: Path, codec: str) -> None:
    data = np.arange(480, dtype=np.int16).reshape(SIZE) * 120 - 30_000
    folder = write(tmp_path / "s", 2, PixelRepresentation=1, RescaleIntercept=5, PixelData=data.tobytes())
    to_rle(folder) if codec == "RLE" else to_itk_codec(folder, codec)
    np.testing.assert_array_equal(read_volume(folder).data[0], np.stack([data.T.astype(int) + 5] * 2, axis=-1))


def test_compressed_slices_with_different_rescales(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    bits = {"BitsStored": 16, "HighBit": 15, "Rows": SIZE[0], "Columns": SIZE[1]}
    for n in range(3):
        write_series(folder, [n], **bits, PixelData=image(n).tobytes(), RescaleSlope=0.5 + n)
    to_rle(folder)
    scaled = np.stack([image(n).T * (0.5 + n) - 1024 for n in range(3)], axis=-1)
    np.testing.assert_allclose(read_volume(folder).data[0], scaled)


def test_small_rle(tmp_path: Path) -> None:
    """Slices of 4 × 5 pixels, which GDCM refuses."""
    folder = to_rle(write_series(tmp_path / "s", range(3)))
    np.testing.assert_array_equal(read_volume(folder).data, hounsfield(range(3)))


def test_large_rle(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 4096, (80, 72)).astype(np.uint16)
    folder = to_rle(write_series(tmp_path / "s", range(2), Rows=80, Columns=72, PixelData=data.tobytes()))
    np.testing.assert_array_equal(read_volume(folder).data[0], np.stack([data.T.astype(int) - 1024] * 2, axis=-1))


def write_enhanced_rle(path: Path, numbers: list[int]) -> None:
    def widen(ds: Dataset) -> None:
        ds.Rows, ds.Columns = SIZE
        ds.BitsStored, ds.HighBit = 16, 15
        ds.PixelData = b"".join(image(n).tobytes() for n in numbers)

    write_enhanced(path, numbers, widen)
    to_rle(path.parent)


def test_enhanced_and_compressed(tmp_path: Path) -> None:
    write_enhanced_rle(tmp_path / "e.dcm", [2, 0, 1])
    np.testing.assert_array_equal(read_volume(tmp_path).data, expected(3))


def edit(path: Path, change: Callable[[Dataset], object]) -> None:
    ds = dcmread(path)
    change(ds)
    ds.save_as(path)


def test_fewer_compressed_frames_than_declared(tmp_path: Path) -> None:
    path = tmp_path / "e.dcm"
    write_enhanced_rle(path, [0, 1, 2])

    def drop(ds: Dataset) -> None:
        frames = list(generate_frames(ds.PixelData, number_of_frames=3))
        ds.PixelData = encapsulate(frames[:2])

    edit(path, drop)
    refused(tmp_path, "truncated or damaged slice: found 2 compressed frames, expected 3")


def test_more_compressed_frames_than_declared(tmp_path: Path) -> None:
    path = tmp_path / "e.dcm"
    write_enhanced_rle(path, [0, 1, 2])

    def hide(ds: Dataset) -> None:
        ds.NumberOfFrames = 2
        ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[:2]

    edit(path, hide)
    refused(tmp_path, "found 3 compressed frames, expected 2")


def test_damaged_stream(tmp_path: Path) -> None:
    folder = to_itk_codec(write(tmp_path / "s", 3), "JPEG2000")
    path = folder / "IM007"
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\xff\x93")  # start of the code stream's data
    path.write_bytes(data[: at + 4])
    refused(folder, "IM007: truncated or damaged slice")


def test_stream_of_other_size(tmp_path: Path) -> None:
    folder = to_itk_codec(write(tmp_path / "s", 2), "JPEG2000")

    def widen(ds: Dataset) -> None:
        ds.Rows, ds.Columns = SIZE[1], SIZE[0]

    for path in folder.iterdir():
        edit(path, widen)
    refused(folder, "IM000: (truncated or damaged slice|compressed pixels of)")


def test_unknown_syntax(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(2))
    for path in folder.iterdir():
        data = path.read_bytes()
        path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.9.1\0", 1))
    refused(folder, "pixels in an unknown transfer syntax, expected uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000")


def test_small_file_that_declares_gigabytes(tmp_path: Path) -> None:
    """Nothing is allocated for what the files cannot hold, uncompressed or not."""
    folder = write_series(tmp_path / "s", range(2), Rows=65_535, Columns=65_535)
    refused(folder, r"found 40 bytes of pixels, expected 8589672450")
    to_rle(write_series(tmp_path / "t", range(2)))

    def huge(ds: Dataset) -> None:
        ds.Rows = ds.Columns = 65_535

    for path in (tmp_path / "t").iterdir():
        edit(path, huge)
    refused(tmp_path / "t", r"found \d+ compressed bytes, expected 8589672450 after decoding")


def test_deflated_bomb(tmp_path: Path) -> None:
    """256 MiB of zeros after the pixels of a slice are not inflated."""
    folder = write_series(tmp_path / "s", [0])
    path = folder / "IM000"
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path)
    data = path.read_bytes()
    head = 132 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = zlib.decompress(data[head:], -15)
    bomb = b"".join(packer.compress(part) for part in (body, *([bytes(1 << 20)] * 256))) + packer.flush()
    path.write_bytes(data[:head] + bomb)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_volume(folder).data, hounsfield([0]))
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
