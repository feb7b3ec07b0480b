"""Which address wins."""

from __future__ import annotations

import pytest

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.connect import server_address
from gpu_infer.settings import Settings
from gpu_infer.triton.client.endpoints import Endpoints

INFERER = InfererSpec(name="TRTISScanWindowInferer", kind="scan", ip="far", port=9000, protocol="HTTP")
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
