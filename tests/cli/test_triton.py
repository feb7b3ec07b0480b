"""`gpu-infer triton serve` stays until it is told to stop, and leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parents[1] / "models" / "threshold_half"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_until_a_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    shutil.copytree(MODEL, tmp_path / MODEL.name)
    command = ["triton", "serve", "--models", str(tmp_path), "--http-port", "0", "--grpc-port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "gpu_infer", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        name, address = process.stdout.readline().split()
        assert name == "http"
        with urllib.request.urlopen(f"http://{address}/v2/health/ready", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
    assert process.returncode == code, message
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{address}/v2/health/ready", timeout=10)


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_infer", "triton", "serve", "--models", str(tmp_path / "none")],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"gpu-infer: error: model repository {tmp_path}/none is not a folder")
