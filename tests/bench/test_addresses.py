"""The operator takes the protocol of a user's run in every bench; a peer keeps the one that it is named after."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import batch, classes, large, nnunet, session
from bench.sides import volume_operator
from bench.support.addresses import Addresses
from bench.support.server_time import ServerSeconds
from gpu_infer import app
from gpu_infer.connect import server_address
from gpu_infer.settings import Settings

SERVER = Addresses(http="127.0.0.1:8010", grpc="127.0.0.1:8011")
HTTP_FIRST = [("http", SERVER.http), ("grpc", SERVER.grpc)]


class Seen(Exception):
    """Ends a bench after the settings were seen."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        endpoints, control = server_address(settings, None)
        self.candidates = endpoints.candidates(control)


def _stop(settings: Settings, *_: Any) -> None:
    raise Seen(settings)


@pytest.mark.parametrize("side", [batch.LOOP, "gpu-infer batch --workers 2", batch.MONAI])
def test_commands_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    commands: list[list[str]] = []

    class Process:
        pid = 0

        def __init__(self, command: list[str], **_: Any) -> None:
            commands.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    inputs = [tmp_path / name for name in ("a.nii", "b.nii")]
    batch._measure(side, inputs, tmp_path / "out", tmp_path / "config.json", SERVER)
    assert len(commands) == (2 if side == batch.LOOP else 1)
    option, address = ("--grpc", SERVER.grpc) if side == batch.MONAI else ("--triton", SERVER.http)
    for command in commands:
        assert command[command.index(option) + 1] == address
        assert "--control" not in command


def test_command_of_a_nnunet_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, commands = [], []

    def spent(url: str, model: str) -> ServerSeconds:
        asked.append(url)
        return ServerSeconds(0.0, 0.0, 0.0)

    def call(command: list[Any]) -> str:
        commands.append(command)
        report = '{"seconds": 1.0, "tiles": {"windows": 1}, "peak_rss_bytes": 1, "stages": {}}'
        (tmp_path / "report.json").write_text(report, encoding="utf-8")
        return ""

    monkeypatch.setattr(nnunet, "server_seconds", spent)
    monkeypatch.setattr(nnunet, "_call", call)
    nnunet._ours(tmp_path / "case.nii.gz", tmp_path, tmp_path, SERVER)
    (command,) = commands
    assert command[command.index("--triton") + 1] == SERVER.http
    assert asked == [SERVER.grpc] * 2  # Triton's statistics


def test_command_of_a_large_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "{}\n")

    monkeypatch.setattr(subprocess, "run", run)
    large.run_side(tmp_path / "case.mhd", tmp_path, tmp_path / "config.json", SERVER, "mhd", None)
    (command,) = commands
    assert [command[command.index(option) + 1] for option in ("--http", "--grpc")] == list(SERVER)


def test_settings_of_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "run", _stop)
    monkeypatch.setattr(volume_operator, "server_seconds", lambda url, model: ServerSeconds(0.0, 0.0, 0.0))
    with pytest.raises(Seen) as seen:
        volume_operator._twice("cpu", tmp_path, tmp_path, tmp_path, SERVER, "half")
    assert seen.value.candidates == HTTP_FIRST


def test_settings_of_many_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "operate", _stop)
    with pytest.raises(Seen) as seen:
        classes._operator_of(tmp_path, tmp_path, tmp_path, SERVER)()
    assert seen.value.candidates == HTTP_FIRST


def test_settings_of_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Served:
        def __enter__(self) -> tuple[Addresses, str]:
            return SERVER, ""

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(session, "served", lambda backend: Served())
    monkeypatch.setattr(session, "Session", _stop)
    with pytest.raises(Seen) as seen:
        session.run(1, 1, 8, tmp_path)
    assert seen.value.candidates == HTTP_FIRST
