"""Bad input and bad luck, through the command: one line, the right exit code, nothing left behind."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, regions, write_config, write_nifti
from real_server import kill

pytestmark = pytest.mark.slow

IDENTITY = np.diag([-1.0, -1.0, 1.0, 1.0])


class Case:
    """One folder tree and the command over it."""

    def __init__(self, root: Path, server: Any) -> None:
        self.root = root
        self.input = root / "input"
        self.output = root / "output"
        self.input.mkdir()
        self.output.mkdir()
        self.server = server
        self.content = config("threshold_half", roi_size=[8, 8, 8])

    def volume(self, name: str = "case.nii.gz") -> Path:
        data = np.random.default_rng(5).random((12, 11, 10)).astype(np.float32)
        return write_nifti(self.input / name, data, IDENTITY)

    def command(self, *extra: str, triton: str | None = None) -> list[str]:
        path = write_config(self.root / "config", self.content)
        options = {
            "--input": str(self.input),
            "--output": str(self.output),
            "--logs": str(self.root / "logs"),
            "--publish": "",
            "--config": str(path),
            "--triton": triton or self.server.grpc,
            "--wait": "3",
            "--deadline": "20",
        }
        others = [word for name, value in options.items() if name not in extra for word in (name, value)]
        return [sys.executable, "-m", "gpu_infer", "run", *others, *extra]

    def refuse(self, code: int, *words: str, extra: tuple[str, ...] = (), triton: str | None = None) -> str:
        process = subprocess.Popen(
            self.command(*extra, triton=triton), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        _, stderr = process.communicate(timeout=120)
        self.check(process, stderr, code, words)
        return stderr

    def check(self, process: subprocess.Popen[str], stderr: str, code: int, words: tuple[str, ...]) -> None:
        assert process.returncode == code, stderr
        lines = [line for line in stderr.splitlines() if line.startswith("gpu-infer: error:")]
        assert len(lines) == 1, stderr
        assert "Traceback" not in stderr
        for word in words:
            assert word in lines[0], lines[0]
        if self.output.is_dir():
            assert list(self.output.iterdir()) == []
        assert not list(Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"))


@pytest.fixture
def case(tmp_path: Path, triton_server: Any) -> Case:
    return Case(tmp_path, triton_server)


def test_no_file(case: Case) -> None:
    case.refuse(3, "No supported input file found", str(case.input))


def test_truncated_gzip(case: Case) -> None:
    path = case.volume()
    path.write_bytes(path.read_bytes()[:-400])
    case.refuse(3, "case.nii.gz")


def test_truncated_raw(case: Case) -> None:
    image = sitk.GetImageFromArray(np.zeros((8, 9, 10), np.int16))
    sitk.WriteImage(image, str(case.input / "case.mhd"))
    raw = case.input / "case.raw"
    raw.write_bytes(raw.read_bytes()[:-100])
    case.refuse(3, "case.raw", "1340", "1440")


def test_nan_in_the_affine(case: Case) -> None:
    path = case.volume("case.nii")
    content = bytearray(path.read_bytes())
    content[280:284] = np.float32(np.nan).tobytes()  # srow_x[0]
    path.write_bytes(bytes(content))
    case.refuse(3, "case.nii", "affine")


def test_zero_spacing(case: Case) -> None:
    affine = np.diag([1.0, 0.0, 1.0, 1.0])
    image = nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), None)
    image.header["sform_code"] = 1
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = affine[0], affine[1], affine[2]
    nib.save(image, case.input / "case.nii")
    content = bytearray((case.input / "case.nii").read_bytes())
    content[254:256] = np.int16(1).tobytes()  # sform_code, which saving may have changed
    (case.input / "case.nii").write_bytes(bytes(content))
    case.refuse(3, "case.nii", "spacing")


def test_flat_file(case: Case) -> None:
    nib.save(nib.Nifti1Image(np.zeros((5, 6), np.int16), np.eye(4)), case.input / "case.nii")
    case.refuse(3, "case.nii", "2-D")


def test_two_series(case: Case) -> None:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    study = generate_uid()
    for series in range(2):
        uid = generate_uid()
        for k in range(3):
            ds = pydicom.Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
            ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = uid, study, uid
            ds.Modality, ds.SeriesDescription = "CT", f"series {series}"
            ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 4, 4, 16, 16, 15
            ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 1
            ds.PixelSpacing, ds.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
            ds.ImagePositionPatient, ds.InstanceNumber = [0, 0, k], k
            ds.RescaleSlope, ds.RescaleIntercept = 1, 0
            ds.PixelData = np.zeros((4, 4), np.int16).tobytes()
            ds.save_as(case.input / f"{series}-{k}.dcm", enforce_file_format=True)
    case.refuse(3, "2 DICOM series, 2 of them are volumes: 1: CT, 3 slices; 2: CT, 3 slices", "--series")


def test_unknown_transform(case: Case) -> None:
    case.volume()
    case.content["pre_transforms"][1]["name"] = "ConvertToChannelFirst"
    case.refuse(2, "ConvertToChannelFirst", "ConvertToChannelsFirst", "pre_transforms[1]")


def test_unknown_argument(case: Case) -> None:
    case.volume()
    case.content["pre_transforms"][0]["args"]["as_canonical"] = True
    case.refuse(2, "LoadNifti", "as_canonical", "as_closest_canonical")


def test_missing_model(case: Case) -> None:
    case.volume()
    case.content["inferer"]["args"]["model_name"] = "segmentation_of_nothing"
    case.refuse(4, "segmentation_of_nothing", "threshold_half")


def test_wrong_channel_count(case: Case) -> None:
    case.volume()
    case.content["inferer"]["args"]["model_name"] = "three_channels"
    case.refuse(4, "wrong channel count", "three_channels takes 3", "has 1")


def test_model_that_fails_and_model_that_lies(case: Case) -> None:
    case.volume()
    case.content["inferer"]["args"]["model_name"] = "fails"
    case.refuse(4, "fails")
    case.content["inferer"]["args"]["model_name"] = "lies"
    case.refuse(4, "lies")


def test_model_that_answers_nan(case: Case) -> None:
    """NaN never wins an argmax, so without a check it would look like background."""
    case.volume()
    case.content["inferer"]["args"]["model_name"] = "answers_nan"
    case.refuse(4, "answers_nan answered NaN")


def test_server_down(case: Case) -> None:
    case.volume()
    case.refuse(4, "127.0.0.1:9", "3", triton="127.0.0.1:9")


def test_label_that_does_not_fit(case: Case) -> None:
    case.volume()
    case.content["inferer"]["args"]["model_name"] = "label300"
    case.refuse(2, "300", "uint8")
    case.content["writers"][0]["args"]["dtype"] = "uint16"
    subprocess.run(case.command(), check=True, capture_output=True, timeout=120)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(case.output / "case.mhd")))
    assert set(np.unique(labels)) == {0, 300}


def test_labels_never_replace_the_input(case: Case) -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(5).random((8, 9, 10)).astype(np.float32))
    sitk.WriteImage(image, str(case.input / "case.mhd"))
    before = {path.name: path.read_bytes() for path in case.input.iterdir()}
    case.refuse(2, "case.mhd", "is the input itself", "--output", extra=("--output", str(case.input)))
    case.refuse(2, "case.mhd", "is the input itself", "--publish", extra=("--publish", str(case.input)))
    assert {path.name: path.read_bytes() for path in case.input.iterdir()} == before


def test_labels_and_published_volume_in_one_folder(case: Case) -> None:
    case.volume()
    case.refuse(2, str(case.output), "output and publish folder are the same", extra=("--publish", str(case.output)))


def test_required_transport_that_cannot_be(case: Case) -> None:
    case.volume()
    case.refuse(4, "cuda_shm", extra=("--require", "cuda_shm"))


def test_gpu_is_refused_while_there_is_none(case: Case) -> None:
    case.volume()
    case.refuse(2, "gpu", extra=("--device", "gpu"))


@contextlib.contextmanager
def small_tmpfs(folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs privileges")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(case: Case) -> None:
    data = np.random.default_rng(5).random((64, 64, 40)).astype(np.float32)
    write_nifti(case.input / "case.nii", data, IDENTITY)
    case.content["inferer"]["args"]["roi_size"] = [64, 64, 40]
    with small_tmpfs(case.output):
        case.refuse(5, str(case.output))


def test_read_only_output(case: Case) -> None:
    case.volume()
    if os.geteuid() == 0:  # root writes anywhere, but not on a read-only mount
        with small_tmpfs(case.output):
            subprocess.run(["mount", "-o", "remount,ro", str(case.output)], check=True)
            case.refuse(2, str(case.output))
    else:
        case.output.chmod(0o500)
        case.refuse(2, str(case.output))


def wait_for_tile(stderr: Path, process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Return when the run's log shows that inference has begun."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if "infer" in stderr.read_text(encoding="utf-8"):
            return
        time.sleep(0.05)
    raise AssertionError(stderr.read_text(encoding="utf-8"))


@contextlib.contextmanager
def in_the_middle(case: Case) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run whose server works on a tile, and its log; behind the block it has ended."""
    case.volume()
    case.content["inferer"]["args"]["model_name"] = "slow"
    log = case.root / "stderr.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(case.command(), stderr=stream, stdout=subprocess.DEVNULL, encoding="utf-8")
        wait_for_tile(log, process)
        time.sleep(0.3)
        yield process, log
        process.wait(timeout=120)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_during_a_run(case: Case, number: signal.Signals) -> None:
    with in_the_middle(case) as (process, log):
        process.send_signal(number)
    case.check(process, log.read_text(), 130, ())
    assert regions(case.server) == []


def test_server_killed_in_the_middle(tmp_path: Path, fresh_triton: Any) -> None:
    case = Case(tmp_path, fresh_triton)
    with in_the_middle(case) as (process, log):
        kill(fresh_triton)
    case.check(process, log.read_text(), 4, (fresh_triton.grpc,))


def test_nothing_of_an_older_result_is_lost_when_a_run_fails(case: Case) -> None:
    """A complete output stays complete until the next one is."""
    case.volume()
    subprocess.run(case.command(), check=True, capture_output=True, timeout=120)
    before = {path.name: path.read_bytes() for path in case.output.iterdir()}
    case.content["inferer"]["args"]["model_name"] = "fails"
    failed = subprocess.run(case.command(), capture_output=True, timeout=120, check=False)
    assert failed.returncode == 4
    assert {path.name: path.read_bytes() for path in case.output.iterdir()} == before
    report = json.loads((case.root / "logs/report.json").read_text())
    assert report["status"] == "failed"
    assert "fails" in report["error"]


def test_gzip_of_something_else(case: Case) -> None:
    with gzip.open(case.input / "case.nii.gz", "wb") as stream:
        stream.write(b"not a volume" * 100)
    case.refuse(3, "case.nii.gz")


def test_config_that_is_missing_or_broken(case: Case) -> None:
    case.volume()
    command = case.command()
    shutil.rmtree(case.root / "config")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
    case.check(process, process.communicate(timeout=60)[1], 2, ("config_inference.json",))
    (case.root / "config").mkdir()
    (case.root / "config/config_inference.json").write_text('{"batch_size": 1,}')
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
    case.check(process, process.communicate(timeout=60)[1], 2, ("config_inference.json", "line 1"))
