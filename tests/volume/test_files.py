"""Files that may be opened as a volume or as its data: regular files, in the folder of their header or below."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume.input_files import choose_files, choose_input
from gpu_infer.volume.read import read_header, read_volume

VOXELS = np.arange(24, dtype=np.uint8)
NAMES = ["v.nii", "v.nii.gz", "v.mhd", "v.mha", "v.nrrd"]


def mhd(folder: Path, data: str, extra: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "v.mhd"
    path.write_text(f"NDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\n{extra}ElementDataFile = {data}\n")
    return path


def nrrd(folder: Path, data: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "v.nrrd"
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: raw\nspace: LPS\n"
    path.write_text(f"{head}space directions: (1,0,0) (0,1,0) (0,0,1)\ndata file: {data}\n")
    return path


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def special(path: Path, kind: str) -> None:
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.relpath(path))  # a socket's name is short
        server.close()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
@pytest.mark.parametrize("name", [*NAMES, "v.hdr", "v"])
def test_special_files_are_refused_at_once(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    special(path, kind)
    for call in (choose_input, read_volume, lambda p: choose_files(p, ["*"]), lambda p: read_header([p])):
        with pytest.raises(InputError, match=rf"^{path}: a {kind}, expected a regular file"):
            call(path)


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device", "folder"])
@pytest.mark.parametrize("make", [mhd, nrrd])
def test_special_data_files_are_refused_at_once(
    tmp_path: Path, make: Callable[[Path, str], Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    special(tmp_path / "v.raw", kind)
    path = make(tmp_path, "v.raw")
    if kind == "device":
        refused(path, "v.raw lies outside the header's folder")
        with pytest.raises(InputError, match=r"v\.raw: a device, expected a regular file"):
            read_volume(path, allow_foreign=True)
    else:
        refused(path, rf"v\.raw: a {kind}, expected a regular file")


def test_an_img_that_is_a_fifo(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(np.zeros((2, 3, 4), np.int16), np.eye(4)), tmp_path / "p.img")
    (tmp_path / "p.img").unlink()
    os.mkfifo(tmp_path / "p.img")
    refused(tmp_path / "p.hdr", r"p\.img: a FIFO")


@pytest.mark.parametrize("call", [choose_input, read_volume, lambda p: choose_files(p, ["*.nii"])])
def test_names_that_lead_nowhere(tmp_path: Path, call: object) -> None:
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    for path, text in (
        (tmp_path / "loop.nii", "symbolic links"),
        (tmp_path / ("x" * 300 + ".nii"), "too long"),
        (tmp_path / ("x/" * 3000 + "v.nii"), "too long"),
        (tmp_path / "a\0b.nii", "null"),
        (tmp_path / "missing.nii", "no such file"),
    ):
        with pytest.raises(InputError, match=text) as caught:
            call(path)  # type: ignore[operator]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [mhd, nrrd])
@pytest.mark.parametrize("name", ["../other/v.raw", "{root}/other/v.raw", "link.raw", "below/up/v.raw"])
def test_data_files_elsewhere_need_permission(tmp_path: Path, make: Callable[[Path, str], Path], name: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/v.raw").write_bytes(VOXELS.tobytes())
    path = make(tmp_path / "case", name.format(root=tmp_path))
    (tmp_path / "case/link.raw").symlink_to("../other/v.raw")
    (tmp_path / "case/below").mkdir()
    (tmp_path / "case/below/up").symlink_to("../../other")
    refused(path, "lies outside the header's folder .*--allow-foreign-data-files")
    volume = read_volume(path, allow_foreign=True)
    np.testing.assert_array_equal(volume.data.ravel(order="F"), VOXELS)
    assert volume.files[1].resolve() == tmp_path / "other/v.raw"


@pytest.mark.parametrize("make", [mhd, nrrd])
@pytest.mark.parametrize("name", ["/proc/self/environ", "/etc/passwd", "/dev/zero", "../../../../../../etc/passwd"])
def test_files_of_the_machine_are_no_voxels(tmp_path: Path, make: Callable[[Path, str], Path], name: str) -> None:
    refused(make(tmp_path / "case", name), "lies outside the header's folder|not found")


@pytest.mark.parametrize("make", [mhd, nrrd])
@pytest.mark.parametrize("name", ["v.raw", "below/v.raw", "{root}/case/v.raw", "inside.raw"])
def test_data_files_with_the_header(tmp_path: Path, make: Callable[[Path, str], Path], name: str) -> None:
    path = make(tmp_path / "case", name.format(root=tmp_path))
    (tmp_path / "case/below").mkdir()
    for folder in ("case", "case/below"):
        (tmp_path / folder / "v.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "case/inside.raw").symlink_to("below/v.raw")
    np.testing.assert_array_equal(read_volume(path).data.ravel(order="F"), VOXELS)


def test_a_header_that_is_a_link_with_the_data_at_its_target(tmp_path: Path) -> None:
    mhd(tmp_path / "store", "v.raw")
    (tmp_path / "store/v.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "in").mkdir()
    for name in ("v.mhd", "v.raw"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "store" / name)
    assert read_volume(tmp_path / "in/v.mhd").data.size == 24


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.nii"
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)), path)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gpu_infer.volume.files.os.open", refuse)  # root may read everything
    refused(path, r"v\.nii: cannot be read: Permission denied")


@pytest.mark.parametrize("name", ["v" * 255, "v" * 5000, "a\0b", "."])
@pytest.mark.parametrize("make", [mhd, nrrd])
def test_data_file_names_that_no_file_has(tmp_path: Path, make: Callable[[Path, str], Path], name: str) -> None:
    refused(make(tmp_path / "case", name), "not found|cannot be read|characters|a folder|expected a file name")


@pytest.mark.parametrize("make", [mhd, nrrd])
def test_names_that_are_not_utf_8(tmp_path: Path, make: Callable[[Path, str], Path]) -> None:
    path = make(tmp_path / "case", "data")
    folder = path.parent.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe4"))
    path = folder / path.name
    path.write_bytes(path.read_bytes().replace(b": data", b": \xe9.raw").replace(b"= data", b"= \xe9.raw"))
    (folder / os.fsdecode(b"\xe9.raw")).write_bytes(VOXELS.tobytes())
    np.testing.assert_array_equal(read_volume(path).data.ravel(order="F"), VOXELS)


@pytest.mark.parametrize("name", NAMES)
def test_too_few_descriptors_are_a_lack_of_resources(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(bytes(1000))

    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("gpu_infer.volume.files.os.open", refuse)
    with pytest.raises(ResourceError, match="Too many open files"):
        read_volume(tmp_path / name)


def test_too_little_memory_is_a_lack_of_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.nii"
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)), path)

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    for place in ("gpu_infer.volume.formats.spans.np.empty", "gpu_infer.volume.read.convert_voxels"):
        with monkeypatch.context() as patch:
            patch.setattr(place, refuse)
            with pytest.raises(ResourceError, match=r"v\.nii: no memory for 0 MiB of voxels"):
                read_volume(path)


def test_every_file_that_is_read_is_named(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 3, 2), np.uint8))
    sitk.WriteImage(image, tmp_path / "a.mhd")
    assert [f.name for f in read_header([tmp_path / "a.mhd"]).files] == ["a.mhd", "a.raw"]
    path = mhd(tmp_path, "LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw")
    for n in range(4):
        (tmp_path / f"s{n}.raw").write_bytes(bytes(6))
    assert [f.name for f in read_volume(path).files] == ["v.mhd", "s0.raw", "s1.raw", "s2.raw", "s3.raw"]
    assert [f.name for f in read_volume(mhd(tmp_path, "s%d.raw 0 3 1")).files][1:] == [f"s{n}.raw" for n in range(4)]
    (tmp_path / "n.raw").write_bytes(bytes(24))
    assert [f.name for f in read_volume(nrrd(tmp_path, "n.raw")).files] == ["v.nrrd", "n.raw"]
    nib.save(nib.Nifti1Pair(np.zeros((2, 3, 4), np.int16), np.eye(4)), tmp_path / "p.img")
    assert [f.name for f in read_volume(tmp_path / "p.img").files] == ["p.hdr", "p.img"]
