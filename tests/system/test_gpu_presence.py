"""What counts as a sign of an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.system import gpu_presence


def test_signs_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device, programs = tmp_path / "nvidiactl", tmp_path / "bin"
    monkeypatch.setattr(gpu_presence, "_DEVICES", (str(device),))
    monkeypatch.setenv("PATH", str(programs))
    assert not gpu_presence.has_nvidia_gpu()
    device.touch()
    assert gpu_presence.has_nvidia_gpu()
    device.unlink()
    programs.mkdir()
    (programs / "nvidia-smi").touch(mode=0o755)
    assert gpu_presence.has_nvidia_gpu()
