"""bench.volume with MONAI's side on small phantoms: the same Triton, labels, statistics, too little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import volume
from bench.sides import volume_peer
from bench.sides.volume_case import Case
from bench.sides.volume_peer import LeftOut, monai_side
from bench.support.served import served
from gpu_infer.backends.cpu.backend import CpuBackend

CT, LABELS = Case((64, 64, 48)), Case((40, 36, 34), many=True)
ROI = (48, 48, 32)


@pytest.mark.slow
def test_both_sides_of_a_ct_and_of_105_classes(tmp_path: Path) -> None:
    volume.run("cpu", (CT, LABELS), roi=ROI, peers=True, folder=tmp_path)
    content = json.loads((tmp_path / "volume.json").read_text(encoding="utf-8"))
    first = " (first case of a process)"
    rows = ["gpu_infer", f"gpu_infer{first}", "MONAI", f"MONAI{first}"]
    assert [row["side"] for row in content["table"]] == rows * 2
    assert "skipped" not in content
    sides = content["cases"][CT.name]
    for side in sides.values():
        assert {"read", "prepare", "infer", "restore", "write"} <= side["stages"].keys()
        assert 0 < side["model_s"] < side["stages"]["infer"]
        assert side["server_input_s"] >= 0  # of small tiles, less than what is kept of a second
        assert side["server_output_s"] >= 0
        assert side["rest_s"] == pytest.approx(side["seconds"] - side["model_s"], abs=2e-4)
        # seconds are kept to a tenth of a millisecond, and this run takes some tens of them
        rounding = 1e-4 + 1e-4 / side["seconds"]
        assert side["non_model_share"] == pytest.approx(1 - side["model_s"] / side["seconds"], abs=rounding)
        assert side["peak_host_bytes"] > 50 << 20
        assert (side["peak_device_bytes"], side["counted"]) == (None, "second run")
    # 48×48×60 voxels at 1 mm, of which a window has 48×48×32: 0, 24, 28 here and there
    assert (sides["gpu_infer"]["windows"], sides["MONAI"]["windows"]) == (3, 3)
    # samples lie at other places (corners against centres), so borders differ in a phantom as small as this
    assert sides["MONAI"]["agreement"]["equal_share"] > 0.95
    assert sides["MONAI"]["agreement"]["dice"] > 0.95
    # nothing is resampled here: the labels come back as they went in
    assert content["cases"][LABELS.name]["MONAI"]["agreement"] == {"equal_share": 1.0, "dice": 1.0}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The gRPC address of a Triton with the benches' models."""
    with served(CpuBackend()) as (server, _):
        yield server.grpc


def side(case: Case, folder: Path, url: str, free: int | None = None) -> dict[str, Any]:
    case.write(folder / "phantom.nii")
    return monai_side(case, folder / "phantom.nii", folder / "out", "cpu", url, ROI, free=free)[0]


@pytest.mark.slow
def test_a_job_that_does_not_fit_is_not_begun(tmp_path: Path, url: str) -> None:
    # back to 64×64×48 voxels: 7 float64 coordinates each; 16 bytes for each of the 48×48×60 at 1 mm
    needed = 56 * 64 * 64 * 48 + 16 * 48 * 48 * 60
    with pytest.raises(LeftOut, match=r"^does not fit: needs 13 MiB at least, 13 MiB free$"):
        side(CT, tmp_path, url, free=needed - 1)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_job_that_runs_out_of_memory_says_so(tmp_path: Path, url: str) -> None:
    case = Case((160, 160, 160))
    with pytest.raises(LeftOut, match=r"^does not fit: needs (\d+) MiB at least, 1 MiB free$") as actual:
        side(case, tmp_path, url, free=1 << 20)
    least = int(str(actual.value).split()[4])  # in fact it needs a tenth more
    (tmp_path / "out").rmdir()
    with pytest.raises(LeftOut, match=rf"^does not fit: needs more than the {least + 2} MiB that were free$"):
        side(case, tmp_path, url, free=(least + 2) << 20)


@pytest.mark.slow
def test_a_long_first_run_counts_and_says_so(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_peer, "LONG_S", 0.001)
    facts = side(CT, tmp_path, url)
    assert (facts["counted"], facts["seconds"]) == ("first run", facts["first_run"]["seconds"])


@pytest.mark.slow
def test_a_side_that_fails_is_told_by_its_error(tmp_path: Path) -> None:
    with pytest.raises(LeftOut, match=r"^failed: tritonclient\.utils\.InferenceServerException: .*failed to connect"):
        side(CT, tmp_path, "127.0.0.1:9")
