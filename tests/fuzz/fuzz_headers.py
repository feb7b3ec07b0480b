"""NIfTI, MetaImage and NRRD files with odd header lines, odd fields and changed bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from case_runner import change_bytes, run_cases, workplace

from gpu_infer.volume.read import read_volume

SHAPE = (6, 5, 4)
VALUES = (
    *(
        b"",
        b" ",
        b"0",
        b"-1",
        b"1",
        b"2",
        b"3",
        b"4",
        b"0 0 0",
        b"6 5 4",
        b"1 1 1",
        b"-1 -1 -1",
        b"nan nan nan",
        b"inf 1 1",
    ),
    *(b"1e308 1e308 1e308", b"1e-308 1 1", b"1 0 0 0 1 0 1e308 0 1", b"1000000000 1000000000 1000000000", b"9" * 5000),
    *(b"LOCAL", b"LIST", b"LIST 2", b"s%d.raw 0 3 0", b"s%03d.raw 1 4 1", b"%s%s%s%n 0 1 1", b"%1000000000d 0 1 1"),
    *(
        b"/dev/zero",
        b"/etc/passwd",
        b"/proc/self/environ",
        b"../x.raw",
        b"a.raw",
        b"fifo.raw",
        b"\xff\xfe",
        b"a" * 2000,
    ),
    *(
        b"True",
        b"False",
        b"MET_SHORT",
        b"MET_FLOAT",
        b"MET_UCHAR_ARRAY",
        b"int16",
        b"float",
        b"block",
        b"gzip",
        b"raw",
        b"ascii",
    ),
    *(
        b"(1,0,0) (0,1,0) (0,0,1)",
        b"(1e200,0,0) (0,1,0) (0,0,1)",
        b"none (0,0,1)",
        b"right-anterior-superior",
        b'"um" "m" "mm"',
    ),
)
KEYS = {
    "mha": (
        b"NDims",
        b"DimSize",
        b"ElementType",
        b"ElementSpacing",
        b"Offset",
        b"TransformMatrix",
        b"BinaryData",
        b"CompressedData",
    ),
    "nrrd": (
        b"type",
        b"dimension",
        b"sizes",
        b"space",
        b"space directions",
        b"space origin",
        b"encoding",
        b"endian",
        b"data file",
    ),
}
HEADS = {
    "mha": b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    b"TransformMatrix = 1 0 0 0 1 0 0 0 1\n"
    b"Offset = 1 2 3\nElementSpacing = 0.7 0.8 3\nDimSize = 6 5 4\nElementType = MET_SHORT\nElementDataFile = ",
    "nrrd": b"NRRD0004\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 5 4\n"
    b"space directions: (0.7,0,0) (0,0.8,0) (0,0,3)\nkinds: domain domain domain\nendian: little\nencoding: raw\n"
    b"space origin: (1,2,3)\n",
}
VOXELS = np.arange(np.prod(SHAPE), dtype=np.int16).tobytes()


def change_lines(rng: random.Random, head: bytes, kind: str) -> bytes:
    """One to three lines with another value, another key, removed, doubled or in another place."""
    separator = b" = " if kind == "mha" else b": "
    lines = head.split(b"\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0 | 1 | 2:
                lines[at] = lines[at].partition(separator)[0] + separator + rng.choice(VALUES)
            case 3:
                lines.insert(at, rng.choice(KEYS[kind]) + separator + rng.choice(VALUES))
            case 4:
                lines.insert(rng.randrange(len(lines)), lines.pop(at))
            case _:
                lines[at] = rng.choice((b"", b"x" * 3000, lines[at] * 2, b"#" + lines[at]))
    return b"\n".join(lines)


def text_file(rng: random.Random, folder: Path, kind: str) -> Path:
    detached = rng.random() < 0.4
    head = HEADS[kind]
    if kind == "mha":
        head += b"a.raw\n" if detached else b"LOCAL\n"
    else:
        head += b"data file: a.raw\n\n" if detached else b"\n"
    if rng.random() < 0.8:
        head = change_lines(rng, head, kind)
    content = head if detached else head + VOXELS
    if rng.random() < 0.4:
        content = change_bytes(rng, content)
    if detached:
        (folder / "a.raw").write_bytes(VOXELS[: rng.choice((len(VOXELS), 0, 17))])
    path = folder / f"a.{'mhd' if detached and kind == 'mha' else 'nhdr' if detached and kind == 'nrrd' else kind}"
    path.write_bytes(content)
    return path


def nifti(rng: random.Random, folder: Path) -> Path:
    image = nib.Nifti1Image(np.frombuffer(VOXELS, np.int16).reshape(SHAPE), np.diag([0.7, 0.8, 3, 1]))
    content = bytearray(image.to_bytes())
    for _ in range(rng.randint(1, 3)):  # a field of the header: dim, datatype, pixdim, vox_offset, slopes, forms
        at = rng.choice(
            (0, 40, 42, 44, 46, 48, 70, 72, 76, 80, 84, 88, 108, 112, 116, 123, 252, 254, 256, 280, 296, 312, 344)
        )
        value = rng.choice(
            (0, 1, 2, 7, 8, 255, 256, 32767, 0x7F800000, 0x7FC00000, 0x7F7FFFFF, 0xFFFFFFFF, rng.getrandbits(32))
        )
        content[at : at + 4] = value.to_bytes(4, "little")
    path = folder / "a.nii"
    path.write_bytes(change_bytes(rng, bytes(content)) if rng.random() < 0.4 else bytes(content))
    return path


def make(rng: random.Random, folder: Path) -> Callable[[], object]:
    kind = rng.choice(("nifti", "mha", "nrrd"))
    path = nifti(rng, folder) if kind == "nifti" else text_file(rng, folder, kind)
    return lambda: read_volume(path).data.sum()


def main(seconds: float, seed: int) -> int:
    return run_cases(make, seconds, seed, workplace("headers"))
