"""Runs whose volume goes to the GPU while it is read, chunk by chunk, against a real server.

On simulated CUDA, and with `-m gpu` on the machine's device.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from gpu_runs import AFFINE, content, labels_of, module_of, volume
from operator_helpers import config, operate, write_nifti

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.base.upload import Upload
from gpu_infer.errors import InputError
from gpu_infer.planning.memory_plan import TABLES

pytestmark = pytest.mark.slow

CHUNK = 1 << 14


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The GPU backend's module, with chunks of 16 KiB."""
    for module in module_of(request):
        monkeypatch.setattr(import_module("gpu_infer.backends.gpu.device.staging"), "CHUNK", CHUNK)
        yield module


def wait_in_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that a reader reports, it waits until the thread has begun to copy what can be copied."""
    upload = import_module("gpu_infer.backends.gpu.early_upload").EarlyUpload
    advance = upload.advance

    def advance_and_wait(self: Any, end: int) -> None:
        advance(self, end)
        due = end if end == self._memory.nbytes else end // CHUNK * CHUNK
        limit = time.monotonic() + 60
        while self._sent < due:
            assert time.monotonic() < limit
            time.sleep(0.001)

    monkeypatch.setattr(upload, "advance", advance_and_wait)


@pytest.mark.parametrize("name", ["case.nii.gz", "case.nii"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4"])
def test_labels_and_counts_are_those_of_an_upload_after_reading(
    tmp_path: Path, triton_server: Any, gpu: Any, monkeypatch: pytest.MonkeyPatch, name: str, dtype: str
) -> None:
    stored = volume((45, 38, 41), dtype)
    header = nib.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(dtype)
    for run in ("early", "late"):
        (tmp_path / run / "input").mkdir(parents=True)
        nib.save(nib.Nifti1Image(stored, AFFINE, header), tmp_path / run / "input" / name)
    wait_in_readers(monkeypatch)
    early = operate(tmp_path / "early", triton_server, content(), device="gpu")
    monkeypatch.setattr(gpu.GpuBackend, "open_upload", Backend.open_upload)
    late = operate(tmp_path / "late", triton_server, content(), device="gpu")
    np.testing.assert_array_equal(labels_of(early), labels_of(late))
    assert len(np.unique(labels_of(early))) == 5
    assert early.data["labels"] == late.data["labels"]
    assert early.data["gpu"]["bytes_up"] == late.data["gpu"]["bytes_up"] == stored.nbytes
    assert early.data["gpu"]["peak_device_bytes"] == late.data["gpu"]["peak_device_bytes"]
    assert early.data["gpu"]["bytes_up_early"] == (0 if dtype[0] == ">" else stored.nbytes)
    assert late.data["gpu"]["bytes_up_early"] == 0


def test_a_stored_volume_larger_than_all_else_fits_the_plan(tmp_path: Path, triton_server: Any, gpu: Any) -> None:
    """The peak is reached when the volume is prepared: it is uploaded, and the model's grid is an eighth of it."""
    write_nifti(tmp_path / "input/case.nii.gz", volume((160, 150, 90), np.float32), AFFINE)
    coarse = config("classes5", resolution=(1.8, 2.2, 2.8), roi_size=[12, 10, 8])
    data = operate(tmp_path, triton_server, coarse, device="gpu").data
    assert data["gpu"]["peak_device_bytes"] <= data["memory"]["planned_device_peak_bytes"]
    assert data["gpu"]["peak_device_bytes"] > data["memory"]["planned_device_peak_bytes"] - TABLES - (1 << 20)


def test_a_refused_file_frees_the_gpu_for_the_next_run(
    tmp_path: Path, triton_server: Any, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check sum, which is read last, is wrong: nothing is inferred from voxels that are on the GPU by then."""
    finished: list[Any] = []
    finish = Upload.finish
    monkeypatch.setattr(Upload, "finish", lambda upload, host: finished.append(host) or finish(upload, host))
    write_nifti(tmp_path / "good/input/case.nii.gz", volume((45, 38, 41)), AFFINE)
    raw = gzip.compress(gzip.decompress((tmp_path / "good/input/case.nii.gz").read_bytes()))
    bad = tmp_path / "bad/input/case.nii.gz"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:])
    good = operate(tmp_path / "good", triton_server, content(), device="gpu").data["gpu"]
    with pytest.raises(InputError, match="damaged compressed data"):
        operate(tmp_path / "bad", triton_server, content(), device="gpu")
    again = operate(tmp_path / "good", triton_server, content(), device="gpu").data["gpu"]
    assert finished == []
    assert again["allocations"] == 0
    assert again["peak_device_bytes"] == good["peak_device_bytes"]
