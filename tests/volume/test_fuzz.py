"""Headers with random changes, from fixed seeds: the result is a volume or one error line."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import GpuInferError
from gpu_infer.volume.read import read_volume

DATA = np.random.default_rng(0).integers(-50, 50, (3, 4, 5)).astype(np.int16)
META = (
    b"NDims = 3\nDimSize = 3 4 5\nElementSpacing = 1 2 3\nOffset = 1 2 3\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n"
    b"ElementType = MET_SHORT\n"
)
NRRD = (
    b"NRRD0005\ntype: short\ndimension: 3\nsizes: 3 4 5\nendian: little\nencoding: raw\nspace: LPS\n"
    b"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nkinds: domain domain domain\n"
)
TOKENS = (
    *(b"1e308", b"-1", b"nan", b"inf", b"0", b"99999999999999999999", b"2147483647", b"-9223372036854775808"),
    *(b"\xff", b"\0", b"\n", b"%s%n", b"%d", b"LIST", b"/dev/zero", b"none", b"()", b"1" * 5000),
)
NUMBERS = (*(np.float32(v).tobytes() for v in ("nan", "inf", "-1e30", "1e30")), bytes(4), b"\xff" * 4)


def seeds(folder: Path) -> dict[str, bytes]:
    """A small file of every kind, and the data files that some of them name."""
    image = sitk.GetImageFromArray(DATA.T)
    nib.Nifti1Image(DATA, np.diag([1.0, 2, 3, 1])).to_filename(folder / "one.nii")
    nib.Nifti2Image(DATA, np.diag([1.0, 2, 3, 1])).to_filename(folder / "two.nii")
    for name in ("plain.mha", "plain.nrrd", "packed.mha", "packed.nrrd"):
        sitk.WriteImage(image, folder / name, name.startswith("packed"))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    files["one.nii.gz"] = gzip.compress(files["one.nii"])
    for k in range(5):
        (folder / f"s{k}.raw").write_bytes(DATA.T[k].tobytes())
    (folder / "all.raw").write_bytes(DATA.T.tobytes())
    files["list.mhd"] = META + b"ElementDataFile = LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\ns4.raw\n"
    files["pattern.mhd"] = META + b"ElementDataFile = s%d.raw 0 4 1\n"
    (folder / "all.txt").write_text(" ".join(map(str, DATA.T.ravel())))
    files["text.mhd"] = META + b"BinaryData = False\nElementDataFile = all.txt\n"
    files["detached.nrrd"] = NRRD + b"data file: all.raw\n"
    files["numbered.nrrd"] = NRRD + b"data file: s%d.raw 0 4 1\n"
    return files


def mutated(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        if not changed:
            break
        at, kind = rng.randrange(min(len(changed), 600)), rng.randrange(6)
        if kind == 0:
            changed[at] = rng.randrange(256)
        elif kind == 1:
            changed[at : at + rng.randint(0, 8)] = rng.choice(TOKENS)
        elif kind == 2:
            del changed[at : at + rng.randint(1, 40)]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randint(1, 200)]
        elif kind == 4:
            del changed[rng.randrange(len(changed)) :]
        else:
            changed[at : at + 4] = rng.choice(NUMBERS)
    return bytes(changed)


@pytest.mark.parametrize("seed", range(4))
def test_any_header_is_read_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    files = seeds(tmp_path)
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
        assert read_volume(tmp_path / name).geometry.shape == (3, 4, 5)
    rng = random.Random(seed)
    for _ in range(250):
        name = rng.choice(sorted(files))
        path = tmp_path / f"changed_{name}"
        path.write_bytes(mutated(files[name], rng))
        try:
            volume = read_volume(path)
        except GpuInferError as error:
            assert str(error).startswith(f"{tmp_path}/")
            assert "\n" not in str(error)
            assert len(str(error)) < 1500
            assert error.remedy
        else:
            assert volume.data.ndim == 4
            assert volume.data.shape[1:] == volume.geometry.shape
            assert np.isfinite(volume.geometry.affine).all()
