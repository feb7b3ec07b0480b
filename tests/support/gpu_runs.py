"""Volumes, configurations and labels of runs on a GPU, and plans with less memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config
from real_device import real_gpu

from gpu_infer.planning.memory_plan import MemoryPlan

AFFINE = np.array([[-0.9, 0, 0, 10], [0, 0, 1.4, -7], [0, 1.1, 0, 3], [0, 0, 0, 1.0]])


def module_of(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module, by the parameter of a fixture: "simulated", or the device with nothing patched."""
    if request.param == "simulated":
        yield request.getfixturevalue("simulated")
        return
    with real_gpu() as module:
        yield module


def volume(shape: tuple[int, int, int], dtype: Any = np.int16, seed: int = 3) -> Any:
    return np.random.default_rng(seed).integers(-1, 6, shape).astype(dtype)


def labels_of(result: Any) -> Any:
    """[K, J, I] of the .mhd, read as text and raw bytes: hosts with a device may lack SimpleITK."""
    header = dict(line.split(" = ", 1) for line in Path(result.output).read_text(encoding="utf-8").splitlines())
    shape = [int(n) for n in header["DimSize"].split()][::-1]
    dtype = {"MET_UCHAR": np.uint8, "MET_USHORT": np.uint16}[header["ElementType"]]
    return np.fromfile(Path(result.output).parent / header["ElementDataFile"], dtype).reshape(shape)


def content(model: str = "classes5", **inferer: Any) -> dict[str, Any]:
    return config(model, resolution=(1.2, 1.0, 1.0), roi_size=[12, 10, 8], **inferer)


def take_masks(chosen: dict[str, Any]) -> None:
    """Masks of five channels, of which the file gets the third; "classes5" answers −|x − k|."""
    names = [f"class{k}" for k in range(5)]
    chosen["post_transforms"] = [
        {
            "name": "ThresholdAcrossChannels",
            "args": {"fields": "model", "threshold": [0.4, 0.38, 0.36, 0.4, 0.4], "sigmoid": True},
        },
        {"name": "SplitAcrossChannels", "args": {"field": "model", "channel_names": names}},
        {"name": "RestoreOriginalShape", "args": {"field": "class2", "src_field": "image", "is_label": True}},
    ]
    chosen["writers"][0]["args"]["field"] = "class2"


def with_knobs(memory: MemoryPlan, **changes: Any) -> MemoryPlan:
    return replace(memory, knobs=replace(memory.knobs, **changes))
