"""Inferers of a configuration: names, sections, addresses, arguments and window modes."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import component, load, lung

from gpu_infer.errors import ConfigError
from gpu_infer.inferers.modes import WindowMode


@pytest.mark.parametrize(
    ("section", "kind", "roi", "names"),
    [
        (
            {
                "roi": [96, 96, 64],
                "scanning_window": "true",
                "tf": {"input_nodes": {"image": "in"}, "output_nodes": {"model": "out"}},
            },
            "scan",
            (96, 96, 64),
            ("in", "out"),
        ),
        ({"roi": [96, 96, 64]}, "scan", (96, 96, 64), (None, None)),
        ({"batch_size": 1, "node_mapping": {"image": "a", "model": "b"}}, "simple", None, ("a", "b")),
        ({"roi": [96, 96, 64], "scanning_window": False}, "simple", None, (None, None)),
        (
            {"args": {"model_name": "m", "ip": "h"}, "trtis": {"input": {"name": "x"}}},
            "simple",
            None,
            ("x", None),
        ),
    ],
)
def test_annotation_sections(
    tmp_path: Path, section: object, kind: str, roi: object, names: tuple[str | None, str | None]
) -> None:
    inferer = load(tmp_path, lung(inferer=None, inference=section)).inferer
    assert (inferer.kind, inferer.roi_size) == (kind, roi)
    assert (inferer.input_name, inferer.output_name) == names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("TRTISScanWindowInferer", "scan"),
        ("TFScanWindowInferer", "scan"),
        ("TRTISScanningWindowInferer", "scan"),
        ("ScanWindowInferer", "scan"),
        ("ai4med.components.inferers.trtis_sw_inferer.TRTISScanWindowInferer", "scan"),
        ("TRTISSimpleInferer", "simple"),
        ("TFSimpleInferer", "simple"),
    ],
)
def test_names_of_inferers(tmp_path: Path, name: str, kind: str) -> None:
    assert load(tmp_path, lung(inferer=component(name, model_name="m"))).inferer.kind == kind


@pytest.mark.parametrize(
    ("args", "address"),
    [
        ({}, None),
        ({"port": 8000}, None),
        ({"ip": "triton"}, "triton:8000"),
        ({"server_ip": "triton", "port": 9000}, "triton:9000"),
        ({"ip": "triton", "protocol": "grpc"}, "triton:8001"),
        ({"ip": "10.0.0.7", "port": "9000", "protocol": "GRPC"}, "10.0.0.7:9000"),
        ({"ip": "::1", "port": 8000}, "[::1]:8000"),
    ],
)
def test_addresses(tmp_path: Path, args: dict, address: str | None) -> None:
    assert load(tmp_path, lung(inferer=component("TRTISSimpleInferer", **args))).inferer.address == address


@pytest.mark.parametrize(("given", "version"), [(-1, None), ("-1", None), (3, "3"), ("3", "3"), (None, None)])
def test_model_versions(tmp_path: Path, given: object, version: str | None) -> None:
    config = load(tmp_path, lung(inferer=component("TRTISSimpleInferer", model_version=given)))
    assert config.inferer.model_version == version


def test_every_inferer_argument(tmp_path: Path) -> None:
    args = {
        "model_name": "m",
        "batch_size": 2,
        "roi": [64, 64, 32.0],
        "mode": "clara",
        "output_type": "RAW",
        "slots": 3,
        "input_name": "i",
        "output_name": "o",
    }
    inferer = load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", **args))).inferer
    assert (inferer.model_name, inferer.batch_size, inferer.roi_size, inferer.slots) == ("m", 2, (64, 64, 32), 3)
    assert (inferer.mode, inferer.output_type, inferer.input_name, inferer.output_name) == ("clara", "RAW", "i", "o")


def test_window_modes_and_their_arguments(tmp_path: Path) -> None:
    def mode(**args: object) -> WindowMode:
        return load(
            tmp_path, lung(inferer=component("TRTISScanWindowInferer", model_name="m", **args))
        ).inferer.window_mode()

    assert mode() == WindowMode("clara")
    assert mode(cval=-1) == WindowMode("clara", cval=-1.0)
    monai = mode(mode="monai", overlap=[0.5, 0.5, 0], blend="gaussian", sigma_scale="0.2")
    assert monai == WindowMode("monai", overlap=(0.5, 0.5, 0.0), blend="gaussian", sigma_scale=(0.2, 0.2, 0.2))
    nnunet = mode(mode="nnunet", step_size=0.75, mirror_axes=[2, 0])
    assert nnunet == WindowMode("nnunet", step_size=0.75, blend="gaussian", mirror_axes=(2, 0))


def test_a_mode_of_the_options_beats_the_configured_one(tmp_path: Path) -> None:
    inferer = load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", mode="monai", cval=1))).inferer
    assert inferer.window_mode("nnunet") == WindowMode("nnunet", blend="gaussian", cval=1.0)
    inferer = load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", mode="monai", overlap=0.5))).inferer
    with pytest.raises(ConfigError, match="overlap belongs to mode monai, not to clara"):
        inferer.window_mode("clara")
    inferer = load(tmp_path, lung(inferer=component("TRTISSimpleInferer"))).inferer
    with pytest.raises(ConfigError, match="mode clara: TRTISSimpleInferer sends the whole volume"):
        inferer.window_mode("clara")


def test_one_window_at_a_time_is_what_a_simple_inferer_does(tmp_path: Path) -> None:
    args = {"batch_size": 1, "slots": 1}
    inferer = load(tmp_path, lung(inferer=component("TRTISSimpleInferer", **args))).inferer
    inferer.window_mode()
    inferer.check_options(batch_size=1, slots=1)
    with pytest.raises(ConfigError, match=r"--roi, --batch-size, --slots: TRTISSimpleInferer sends the whole volume"):
        inferer.check_options(roi_size=(8, 8, 8), batch_size=2, slots=3)
    load(tmp_path, lung(inferer=component("TRTISScanWindowInferer"))).inferer.check_options(roi_size=(8, 8, 8), slots=3)


@pytest.mark.parametrize(
    ("scanning", "name", "does"),
    [
        (False, "TRTISScanWindowInferer", "moves a window"),
        (True, "TRTISSimpleInferer", "sends the whole volume"),
    ],
)
def test_the_inferer_counts_more_than_use_scanning_window(tmp_path: Path, scanning: bool, name: str, does: str) -> None:
    document = lung(use_scanning_window=scanning, inferer=component(name, model_name="m"))
    assert load(tmp_path, document).warnings == (
        f"{tmp_path}/config_inference.json: use_scanning_window is {str(scanning).lower()}, but {name} {does}, which "
        "counts",
    )
    assert load(tmp_path, {**document, "use_scanning_window": not scanning}).warnings == ()
