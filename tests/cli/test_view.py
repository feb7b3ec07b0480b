"""`gpu-infer view` as a process: its address, its end, its errors."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti
from gpu_infer.writers.page.asset import has_viewer

SHAPE = (6, 5, 4)
COMMAND = (sys.executable, "-m", "gpu_infer", "view")
needs_viewer = pytest.mark.skipif(not has_viewer(), reason="the viewer is not installed: make page-asset")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output folder of a run."""
    geometry, folder = Geometry(SHAPE, np.eye(4)), tmp_path / "output"
    folder.mkdir()
    source = write_nifti(Volume(np.ones((1, *SHAPE), np.int16), geometry, tmp_path, "nifti"), tmp_path, "scan.nii.gz")
    mhd, _ = write_metaimage(np.ones(SHAPE, np.uint8), geometry, folder, "scan")
    section = {"field": "model", "mhd": str(mhd), "labels": {"1": {"name": "lung", "voxels": 120, "ml": 0.12}}}
    report = {"status": "done", "input": {"path": str(source)}, "outputs": [section]}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


@contextlib.contextmanager
def viewing(*arguments: str) -> Iterator[tuple[Any, str]]:
    """The process and the address that it prints."""
    command = [*COMMAND, *arguments, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("page     http://127.0.0.1:"), (first, process.stderr and process.stderr.read())
            yield process, first.split()[1]
        finally:
            process.kill()


@needs_viewer
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_page_is_served_until_a_signal(output: Path, number: int, code: int) -> None:
    with viewing(str(output)) as (process, url):
        with urllib.request.urlopen(url, timeout=30) as response:
            text = response.read().decode()
        assert "<title>scan</title>" in text
        assert '"name": "lung"' in text
        with urllib.request.urlopen(f"{url}labels-0", timeout=30) as response:
            assert response.read()[352:] == b"\1" * 120
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (code, "")


@needs_viewer
def test_a_port_that_is_in_use_is_refused(output: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, str(output), "--port", port], capture_output=True, encoding="utf-8", check=False
        )
    assert done.returncode == 5
    assert done.stderr == (
        f"gpu-infer: error: --port {port}: 127.0.0.1 cannot listen there: Address already in use "
        "(leave it out for a free port)\n"
    )


@needs_viewer
def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"gpu-infer: error: {tmp_path}: found neither report.json of a finished run nor")
