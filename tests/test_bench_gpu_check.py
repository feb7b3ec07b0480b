"""bench.gpu_check: what a run on the GPU must have counted for the check to pass."""

from __future__ import annotations

from typing import Any

import pytest

from bench.gpu_check import unlike_promised

LABEL_BYTES = 4 * 5 * 6


def report(**gpu: Any) -> dict[str, Any]:
    counted = {"bytes_up": 2 * LABEL_BYTES, "bytes_down": LABEL_BYTES, "tile_bytes_up": 0, "tile_bytes_down": 0}
    return {
        "input": {"shape": [4, 5, 6], "channels": 1, "dtype": "int16"},
        "triton": {"data": "cuda_shm"},
        "gpu": counted | gpu,
    }


def test_volume_up_and_labels_down_pass() -> None:
    assert unlike_promised(report(), LABEL_BYTES) == ""


@pytest.mark.parametrize(
    ("counter", "promised"),
    [("bytes_up", 240), ("bytes_down", 120), ("tile_bytes_up", 0), ("tile_bytes_down", 0)],
)
def test_other_bytes_are_named(counter: str, promised: int) -> None:
    assert unlike_promised(report(**{counter: 7}), LABEL_BYTES) == f"{counter} is 7, promised {promised}"


def test_another_transport_is_named() -> None:
    found = report() | {"triton": {"data": "system_shm"}}
    assert unlike_promised(found, LABEL_BYTES) == "data is system_shm, promised cuda_shm"
