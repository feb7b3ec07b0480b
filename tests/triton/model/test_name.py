"""Names and versions that no model of a server can have are refused before any protocol sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.model.name import check_model_name
from gpu_infer.triton.model.repository import model_in_repository


@pytest.mark.parametrize(
    "name", ["lung", "segmentation_ct_lung_v1", "a.b-c", "Lunge links", "plämie", "x" * 255, "..."]
)
def test_names_of_folders_pass(name: str) -> None:
    check_model_name(name)
    check_model_name(name, "1")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "no model name given"),
        ("slow/versions/1", "'slow/versions/1' contains a path"),
        ("/slow", "contains a path"),
        ("..\\slow", "contains a path"),
        ("..", "is a path"),
        ("slow\n", "characters that cannot be printed"),
        (" slow", "blanks at its ends"),
        ("slow\x1b[2J", "characters that cannot be printed"),
        ("\udcff", "characters that cannot be printed"),
        ("ä" * 128, "has 256 bytes, more than 255"),
    ],
)
def test_others_are_refused(name: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_model_name(name)
    assert fault in caught.value.message
    assert str(caught.value).isprintable()
    with pytest.raises(ConfigError):
        Settings.from_environment({}, config="c.json", model_name=name)
    with pytest.raises(ConfigError):
        model_in_repository(tmp_path, name)


@pytest.mark.parametrize("version", ["0", "01", "-1", "1/infer", "latest", "1 ", "²", "9" * 19])
def test_versions_are_positive_numbers(version: str) -> None:
    with pytest.raises(ConfigError, match="is not a version, expected a number from 1 on"):
        check_model_name("slow", version)


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_both_protocols_refuse_before_they_connect(control: str) -> None:
    server = Server(cast(Any, control), "127.0.0.1:1", "2.51.0")
    with pytest.raises(ConfigError, match="contains a path"):
        server.model("slow/versions/1")
