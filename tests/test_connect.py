"""Which server a run connects to: which address wins, and a local server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.connect import connect, server_address
from gpu_infer.errors import DeadlineError, ModelError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.server import Server

INFERER = InfererSpec(name="TRTISScanWindowInferer", kind="scan", ip="far", port=9000, protocol="HTTP")
LUNG = InfererSpec(name="TRTISScanWindowInferer", kind="scan", model_name="ct_lung_v1")
SILENT = InfererSpec(name="TRTISScanWindowInferer", kind="scan")


def _settings(environ: dict[str, str] | None = None, **options: object) -> Settings:
    return Settings.from_environment(environ or {}, config="c.json", **options)


@pytest.mark.parametrize(
    ("environ", "options", "inferer", "expected"),
    [
        ({}, {}, None, (Endpoints(either="localhost:8000"), "auto")),
        ({}, {}, SILENT, (Endpoints(either="localhost:8000"), "auto")),
        ({}, {}, INFERER, (Endpoints(either="far:9000"), "http")),
        ({}, {"control": "grpc"}, INFERER, (Endpoints(either="far:9000"), "grpc")),
        ({"NVIDIA_CLARA_TRTISURI": "near:1"}, {}, INFERER, (Endpoints(either="near:1"), "auto")),
        ({"NVIDIA_TRITON_GRPCURI": "near:1"}, {}, INFERER, (Endpoints(grpc="near:1"), "auto")),
        ({"NVIDIA_CLARA_TRTISURI": "near:1"}, {"triton": "here:2"}, INFERER, (Endpoints(either="here:2"), "auto")),
    ],
)
def test_order(
    environ: dict[str, str],
    options: dict[str, object],
    inferer: InfererSpec | None,
    expected: tuple[Endpoints, str],
) -> None:
    assert server_address(_settings(environ, **options), inferer) == expected


def test_every_address_carries_what_connections_need() -> None:
    headers = {"GPU_INFER_TRITON_HEADERS": "x: 1"}
    for environ, inferer in (({}, None), ({}, INFERER), ({"NVIDIA_CLARA_TRTISURI": "https://near:1"}, SILENT)):
        settings = _settings(environ | headers)
        assert server_address(settings, inferer)[0].access == settings.access
        assert settings.access.headers == (("x", "1"),)


class _LocalServer:
    http, grpc = "127.0.0.1:1", "127.0.0.1:2"
    running = starts = 0
    names: Sequence[str] = ()

    def __init__(self, models: Path, *, names: Sequence[str]) -> None:
        self.models = models
        _LocalServer.names = names

    def __enter__(self) -> _LocalServer:
        _LocalServer.running += 1
        _LocalServer.starts += 1
        return self

    def __exit__(self, *_: object) -> None:
        _LocalServer.running -= 1


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Arguments of every `Server.connect`: endpoints, control, seconds to wait, and the check."""
    calls: list[tuple[Any, ...]] = []

    def note(endpoints: Endpoints, control: str, *, wait_s: float, check: Any) -> Server:
        calls.append((endpoints, control, wait_s, check))
        return Server("http", "server:1", "2.51.0")

    monkeypatch.setattr(Server, "connect", note)
    monkeypatch.setattr("gpu_infer.triton.local.serve.LocalServer", _LocalServer)
    _LocalServer.starts = 0
    yield calls
    assert _LocalServer.running == 0


def test_a_server_at_an_address(calls: list[tuple[Any, ...]]) -> None:
    with ExitStack() as stack:
        server: Any = connect(_settings(wait_s=7.0), INFERER, stack, check=print)
        assert server.url == "server:1"
        assert not server.stops_with_run
        assert _LocalServer.running == 0
    assert calls == [(Endpoints(either="far:9000"), "http", 7.0, print)]


def test_a_local_server_loads_the_configured_model_alone(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    for name in ("ct_lung_v1", "other"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        connect(_settings(triton="local", models=tmp_path), LUNG, stack)
    assert list(_LocalServer.names) == ["ct_lung_v1"]


def test_a_wait_that_is_not_set_is_short_for_an_address_alone(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    """A local server answers by itself, but not within a fixed time."""
    with ExitStack() as stack:
        connect(_settings(), SILENT, stack)
        connect(_settings(triton="local", models=tmp_path), SILENT, stack)
    assert [wait_s for _, _, wait_s, _ in calls] == [5.0, 600.0]


@pytest.mark.parametrize(
    ("option", "inferer"),
    [("ct_lung_v1", SILENT), (None, LUNG)],
)
def test_a_model_that_the_local_repository_lacks_is_refused_before_the_server_starts(
    option: str | None, inferer: InfererSpec, calls: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    for name in ("ct_lung_v2", "other"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack, pytest.raises(ModelError) as caught:
        connect(_settings(triton="local", models=tmp_path, model_name=option), inferer, stack)
    assert str(caught.value) == (
        f"model ct_lung_v1 is not in the repository {tmp_path}, which has: ct_lung_v2, other (give its repository with "
        '--models, or correct inferer.args.model_name (--model); did you mean "ct_lung_v2"?)'
    )
    assert calls == []
    assert _LocalServer.starts == 0


def test_without_a_wait_the_error_names_the_ways_to_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.settings.CONNECT_WAIT_S", 0.1)
    for wait_s, named in ((None, True), (0.1, False)):
        with (
            ExitStack() as stack,
            pytest.raises(DeadlineError, match=r"^no Triton server ready within 0\.1 s") as caught,
        ):
            connect(_settings(triton="127.0.0.1:9", wait_s=wait_s), SILENT, stack)
        assert caught.value.exit_code == 4
        remedy = str(caught.value.remedy)
        assert [words in remedy for words in ("--triton local", "`gpu-infer triton serve`", "--wait")] == [named] * 3
        assert "--triton host:port" in remedy


def test_a_local_server_runs_until_the_stack_closes(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert connect(_settings(triton="local", models=tmp_path), INFERER, stack).stops_with_run
        assert _LocalServer.running == 1
    (call,) = calls
    assert call[:2] == (Endpoints(http="127.0.0.1:1", grpc="127.0.0.1:2"), "auto")
