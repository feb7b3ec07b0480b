"""Damaged DICOM files from fixed seeds: a volume of all slices, or one error line that quotes no header."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from dicom_series import refused, write_enhanced, write_series
from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom.series import holds_series, read_dicom

SECRET = "SECRET"
PIECES = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\xfe\xff\xdd\xe0",
    b"\xfe\xff\0\xe0",
    b"\xe0\x7f\x10\0",
]


def damage(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, bits flipped, pieces cut out, put in, doubled, lengths and delimiters written over others."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(out) + 1)
        length = rng.randrange(1, 40)
        match rng.randrange(6):
            case 0:
                out[at : at + 1] = rng.randbytes(1)
            case 1:
                out[at : at + length] = b""
            case 2:
                out[at:at] = rng.randbytes(length)
            case 3:
                out[at : at + 4] = rng.choice(PIECES)
            case 4:
                start = rng.randrange(len(out) + 1)
                out[at:at] = out[start : start + length]
            case 5:
                out[at:] = out[at:][: rng.choice([0, length, len(out)])]
    return bytes(out)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("enhanced", [False, True])
def test_damaged_files(tmp_path: Path, syntax: UID, enhanced: bool) -> None:
    sound, folder = tmp_path / "sound", tmp_path / "damaged"
    sound.mkdir()
    if enhanced:
        write_enhanced(sound / "e.dcm", [0, 1, 2], lambda ds: setattr(ds, "PatientName", SECRET))
    else:
        write_series(sound, range(3), PatientName=SECRET, SeriesDescription=SECRET)
    for path in sound.iterdir():
        ds = dcmread(path)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    for seed in range(150):
        rng = random.Random(seed)
        shutil.copytree(sound, folder)
        path = rng.choice(sorted(folder.iterdir()))
        path.write_bytes(damage(path.read_bytes(), rng))
        try:
            holds_series(folder)
            volume = read_dicom(folder)
            text = str(volume.warnings)
            assert enhanced or volume.data.shape[-1] == 3, f"seed {seed}: a slice was passed over"
        except InputError as error:
            text = str(error)
            assert str(folder) in text
            assert "\n" not in text
        assert SECRET not in text, f"seed {seed}"
        shutil.rmtree(folder)


def test_an_empty_element_of_an_unknown_kind(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3), series="")
    for path in folder.iterdir():
        content = path.read_bytes()
        assert content.count(b"\x20\x00\x0e\x00UI\x00\x00") == 1
        path.write_bytes(content.replace(b"\x20\x00\x0e\x00UI", b"\x20\x00\x0e\x00U\x00"))
    refused(folder, "damaged DICOM header")
