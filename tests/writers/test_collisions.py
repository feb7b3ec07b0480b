"""No output replaces the input, another program's file or another file of the run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from output_checks import check_all_outputs

from gpu_infer.errors import ConfigError, InputError
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.collisions import check_folders
from gpu_infer.writers.label_maps import LabelMap, write_label_maps
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti
from gpu_infer.writers.preview import write_preview
from gpu_infer.writers.publish import publish
from gpu_infer.writers.recognise import copies_comment, is_header

SETTINGS = resource_folder("config") / "config_render.json"
GRID = Geometry((4, 3, 2), np.eye(4))


class Case:
    """One input and its two folders."""

    def __init__(self, root: Path) -> None:
        self.output, self.folder = root / "out", root / "pub"
        for folder in (self.output, self.folder, root / "in"):
            folder.mkdir()
        self.root = root
        self.settings = root / "config_render.json"
        shutil.copyfile(SETTINGS, self.settings)
        self.volume = self.of(root / "in/ct.mhd")

    def of(self, path: Path, *more: Path, kind: str = "metaimage") -> Volume:
        for file in (path, *more):
            if not file.exists():
                file.write_bytes(b"voxels")
        return Volume(np.zeros((1, 4, 3, 2), np.int16), GRID, path, kind, files=(path, *more))

    def check(self, volume: Volume | None = None, *fields: str, preview: bool = True, published: bool = True) -> None:
        check_all_outputs(
            volume or self.volume,
            fields or ("model",),
            self.output,
            self.folder if published else None,
            self.settings,
            preview=preview,
        )

    def run(self, volume: Volume | None = None) -> list[Path]:
        """Write everything; every file that is there afterwards."""
        volume = volume or self.volume
        labels = np.ones((4, 3, 2), np.uint8)
        written = write_label_maps(
            {"model": LabelMap(labels, "uint8")}, GRID, self.output, volume.path.name.split(".")[0]
        )
        publish(volume, written["model"]["mhd"][0], "m", self.folder, self.settings)
        write_preview(volume, labels, self.output / "ct.preview.png")
        return sorted(p for folder in (self.output, self.folder) for p in folder.iterdir())


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_one_folder_for_labels_and_publishing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"output and publish folder are the same.*two folders"):
        check_folders(tmp_path / "out", tmp_path / "link")
    check_folders(tmp_path / "out", tmp_path / "out" / "publish")
    check_folders(tmp_path / "out", None)


OUTPUTS = ["out/ct.mhd", "out/ct.raw", "out/ct.preview.png"]
OUTPUTS += [f"pub/{name}" for name in ("ct.mhd", "ct.raw", "ct.out.mhd", "ct.out.raw", "config.meta", SETTINGS.name)]


def test_older_outputs_are_replaced(case: Case) -> None:
    case.check()
    files = case.run()
    assert files == sorted(case.root / name for name in OUTPUTS)
    case.check()
    assert case.run() == files


def test_plain_metaimages_are_older_outputs(case: Case) -> None:
    sitk.WriteImage(sitk.Image([2, 2, 2], sitk.sitkInt16), case.output / "ct.mhd")
    case.check()
    case.run()
    assert (sitk.GetArrayFromImage(sitk.ReadImage(case.output / "ct.mhd")) == 1).all()


def test_plain_compressed_metaimages_are_older_outputs(case: Case) -> None:
    sitk.WriteImage(sitk.Image([2, 2, 2], sitk.sitkInt16), case.output / "ct.mhd", True)
    case.check()
    case.run()
    assert sorted(path.name for path in case.output.iterdir()) == ["ct.mhd", "ct.preview.png", "ct.raw"]


def test_a_metaimage_that_itk_read_and_wrote_again_is_not_replaced(case: Case) -> None:
    """ITK adds tags such as ITK_InputFilterName to what it has read: a label map edited by hand, perhaps."""
    case.run()
    header = case.output / "ct.mhd"
    edited = sitk.ReadImage(header)
    edited[0, 0, 0] = 7
    sitk.WriteImage(edited, header)
    before = header.read_bytes(), (case.output / "ct.raw").read_bytes()
    with pytest.raises(ConfigError, match=r"ct\.mhd: found a file of another program, expected none or a plain Meta"):
        case.check()
    with pytest.raises(ConfigError, match=r"ct\.mhd: found a file of another program"):
        case.run()
    assert (header.read_bytes(), (case.output / "ct.raw").read_bytes()) == before


@pytest.mark.parametrize("folder", ["out", "pub"])
@pytest.mark.parametrize("field", ["Comment = my own", "Comment = ", "Modality = MET_MOD_CT", "PatientName = x"])
def test_metaimages_with_fields_of_other_programs_are_not_replaced(case: Case, folder: str, field: str) -> None:
    case.run()
    header = case.root / folder / "ct.mhd"
    header.write_text(f"{field}\n{header.read_text()}")
    with pytest.raises(ConfigError, match=rf"{folder}/ct\.mhd: found a file of another program, expected none or a pl"):
        case.check()


def test_headers_have_plain_fields_alone(case: Case) -> None:
    header, _ = write_metaimage(np.ones((4, 3, 2), np.uint8), GRID, case.output, "seg")
    assert is_header(header)
    published = case.of(case.root / "in/ct.nii.gz", kind="nifti")
    case.run(published)
    assert "Comment = gpu_infer copies" in (case.folder / "ct.mhd").read_text()
    assert is_header(case.folder / "ct.mhd")


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "FIFO", "file", "empty"])
def test_files_of_others_in_the_place_of_an_output(case: Case, name: str, kind: str) -> None:
    path = case.root / name
    if kind == "folder":
        path.mkdir()
        (path / "slice.dcm").write_bytes(b"only copy")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind in ("link", "dangling"):
        (case.root / "target").write_bytes(b"mine") if kind == "link" else None
        path.symlink_to(case.root / "target")
    else:
        path.write_bytes(b"" if kind == "empty" else b"notes of somebody")
    kinds = {"file": "file of another program", "empty": "file of another program", "dangling": "link"}
    with pytest.raises(ConfigError, match=rf"{name}: found a {kinds.get(kind, kind)}, expected n.* \(move it away"):
        case.check()
    before = sorted(case.root.rglob("*"))
    with pytest.raises(ConfigError, match=rf"{name}: found a"):  # also when it appears after the check
        case.run()
    assert [p for p in before if not os.path.lexists(p)] == []
    if kind == "folder":
        assert (path / "slice.dcm").read_bytes() == b"only copy"
    elif kind == "file":
        assert path.read_bytes() == b"notes of somebody"


def test_an_input_folder_named_like_the_output(case: Case) -> None:
    series = case.output / "scan.mhd"
    series.mkdir()
    volume = case.of(series / "1.dcm", kind="dicom")
    volume = Volume(volume.data, GRID, series, "dicom", files=volume.files)
    with pytest.raises(ConfigError, match=r"out/scan\.mhd: found a folder, expected"):
        check_all_outputs(volume, ["model"], case.output, None, case.settings)
    assert (series / "1.dcm").exists()


@pytest.mark.parametrize(
    "name", ["out/ct.mhd", "out/ct.raw", "out/ct.preview.png", "pub/ct.out.raw", "pub/config.meta"]
)
@pytest.mark.parametrize("how", ["itself", "hard link", "through a linked folder"])
def test_files_of_the_input(case: Case, name: str, how: str) -> None:
    case.run()  # older outputs, which would be replaced
    target = case.root / name
    other = case.root / "in/slice.raw"
    if how == "hard link":
        os.link(target, other)
    elif how == "itself":
        other = target
    else:
        (case.root / "linked").symlink_to(target.parent)
        other = case.root / "linked" / target.name
    with pytest.raises(ConfigError, match=rf"{name}: is the input.*would be replaced.*--(output|publish)"):
        case.check(case.of(case.root / "in/ct.mhd", other))


def test_another_programs_nifti_in_publish(case: Case) -> None:
    volume = case.of(case.root / "in/ct.nii.gz", kind="nifti")
    (case.folder / "ct.nii.gz").write_bytes(b"another case")
    with pytest.raises(ConfigError, match=r"pub/ct\.nii\.gz: found a file of another program, expected none or a copy"):
        case.check(volume)
    (case.folder / "ct.nii.gz").write_bytes(b"voxels")  # equal to the input
    case.check(volume)
    case.run(volume)
    volume.path.write_bytes(b"newer voxels")
    case.check(volume)  # the older copy is recognised, though the input is another one now
    case.run(volume)
    assert (case.folder / "ct.nii.gz").read_bytes() == b"newer voxels"
    (case.folder / "ct.nii.gz").write_bytes(b"changed by hand")
    with pytest.raises(ConfigError, match="file of another program"):
        case.check(volume)


@pytest.mark.parametrize("names", [("ct.nii.gz",), ("ct.hdr", "ct.img")])
def test_a_published_copy_that_somebody_edited(case: Case, names: tuple[str, ...]) -> None:
    """Size and times do not show it: a field of a NIfTI header is changed in place, and `cp -p` copies times."""
    volume = case.of(*(case.root / "in" / name for name in names), kind="nifti")
    case.run(volume)
    for file in volume.files:
        file.write_bytes(b"newer voxels")
    case.check(volume)
    copy = case.folder / names[-1]
    status = copy.stat()
    copy.write_bytes(b"VOXELS")
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ConfigError, match=rf"pub/{names[-1]}: found a file of another program, expected none or a cop"):
        case.check(volume)
    with pytest.raises(ConfigError, match=rf"pub/{names[-1]}: found a file of another program"):
        case.run(volume)
    assert copy.read_bytes() == b"VOXELS"


def test_an_input_in_the_publish_folder_is_no_copy(case: Case) -> None:
    """Another case of its name, from another folder, does not replace it."""
    volume = case.of(case.folder / "ct.nii.gz", kind="nifti")
    case.run(volume)
    (case.root / "in/ct.nii.gz").write_bytes(b"another case")
    other = case.of(case.root / "in/ct.nii.gz", kind="nifti")
    with pytest.raises(ConfigError, match=r"pub/ct\.nii\.gz: found a file of another program"):
        case.check(other)


def test_the_comment_fits_into_what_metaio_reads(case: Case) -> None:
    files = [case.root / "in" / f"{'x' * 200}.{ending}" for ending in ("hdr", "img")]
    case.of(*files)
    assert len(copies_comment({file: file.name for file in files})) <= 254


@pytest.mark.parametrize("linked", [False, True])
def test_published_into_the_inputs_own_folder(case: Case, linked: bool) -> None:
    volume = write_volume(case.folder if not linked else case.root / "in")
    if linked:
        os.link(volume.path, case.folder / "ct.nii.gz")
    before, inode = volume.path.read_bytes(), volume.path.stat().st_ino
    case.check(volume)
    files = case.run(volume)
    assert case.folder / "ct.nii.gz" in files
    assert (volume.path.read_bytes(), (case.folder / "ct.nii.gz").stat().st_ino) == (before, inode)


def test_settings_published_into_their_own_folder(case: Case) -> None:
    case.settings = case.folder / SETTINGS.name
    shutil.copyfile(SETTINGS, case.settings)
    inode = case.settings.stat().st_ino
    case.check()
    case.run()
    assert case.settings.stat().st_ino == inode


def write_volume(folder: Path) -> Volume:
    source = Volume(np.zeros((1, 4, 3, 2), np.int16), GRID, Path("ct.nii.gz"), "nifti")
    path = write_nifti(source, folder, "ct.nii.gz")
    return Volume(source.data, GRID, path, "nifti", files=(path,))


def test_names_that_are_too_long(case: Case) -> None:
    for length, published in ((248, False), (244, True)):
        name = "x" * length
        volume = case.of(case.root / f"in/{name}.nii.gz", kind="nifti")
        case.check(volume, preview=False, published=published)
    with pytest.raises(
        InputError, match=r"x\.out\.mhd: 256 bytes in the name .*at most 255 \(give a shorter name with --name"
    ):
        case.check(case.of(case.root / f"in/{'x' * 248}.nii.gz", kind="nifti"), preview=False)
    with pytest.raises(InputError, match=r"x\.mhd: 256 bytes in the name"):
        case.check(case.of(case.root / f"in/{'x' * 252}", kind="dicom"), preview=False, published=False)
    with pytest.raises(InputError, match=r"ü\.b\.mhd: 256 bytes"):
        case.check(case.of(case.root / f"in/{'ü' * 125}.nii"), "b", "a-field", preview=False, published=False)
    with pytest.raises(InputError, match=r"x\.preview\.png: 256 bytes"):
        case.check(case.of(case.root / f"in/{'x' * 244}.nii"), published=False)


def test_names_in_folders_that_are_made_later(case: Case) -> None:
    case.folder = case.root / "later/pub"
    with pytest.raises(InputError, match=r"x\.out\.mhd: 256 bytes in the name"):
        case.check(case.of(case.root / f"in/{'x' * 248}.mhd"), preview=False)
    for _ in range(25):
        case.folder /= "y" * 200
    with pytest.raises(InputError, match=r"\d+ bytes in the path of .*at most 4096 .*--publish"):
        case.check()
    case.check(published=False)


def test_the_longest_names_are_written(case: Case) -> None:
    volume = case.of(case.root / f"in/{'x' * 243}.mhd")
    case.check(volume)
    assert len(case.run(volume)) == len(OUTPUTS)


def test_older_outputs_of_a_killed_run_come_back_before_the_check(case: Case) -> None:
    """The header had moved aside and the voxels were new: without a header, no output would own them."""
    case.run()
    stage = case.output / ".ct.abcdefgh.partial"
    (stage / "replaced").mkdir(parents=True)
    (case.output / "ct.mhd").rename(stage / "replaced/ct.mhd")
    case.check()
    assert (case.output / "ct.mhd").exists()
    assert not stage.exists()


def test_config_meta_of_other_dialects(case: Case) -> None:
    for content in ({"name": "m", "settings": "s", "data": []}, {"name": "m", "settings": "s", "density": "x"}):
        (case.folder / "config.meta").write_text(json.dumps(content))
        case.check()
    (case.folder / "config.meta").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match=r"config\.meta: found a file of another program"):
        case.check()
