"""Inputs of a run and a model for it, without files of voxels and without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.config.load import load_config
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.settings import Settings
from gpu_infer.triton.model.info import ModelInfo, TensorInfo
from gpu_infer.volume.geometry import Geometry, Shape3
from gpu_infer.volume.header import VolumeHeader


def inputs_of(
    folder: Path,
    shape: Shape3,
    *,
    dtype: Any = np.uint8,
    pre: tuple[dict[str, Any], ...] = (),
    options: dict[str, Any] | None = None,
    **inferer: Any,
) -> RunInputs:
    """A run over a volume of `shape` in RAS: load, `pre`, inference with the arguments `inferer`, argmax."""
    path = folder / "config_inference.json"
    content = {
        "pre_transforms": [
            {"name": "LoadNifti", "args": {"fields": "image"}},
            {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
            *pre,
        ],
        "post_transforms": [{"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}],
        "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}],
        "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": "many", **inferer}},
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    config = load_config(path, {})
    data = np.broadcast_to(dtype(0), (1, *shape))
    file = Path("volume.nii")
    header = VolumeHeader(Geometry(shape, np.eye(4)), 1, data.dtype, file, (file,), "nifti", lambda _: data)
    folders = {"output": folder, "logs": folder, "publish": ""}
    settings = Settings.from_environment({}, config=path, **(folders | (options or {})))
    return RunInputs(settings, config, config.pipeline(), header)


def model_of(classes: int, window: Shape3, max_batch: int = 1) -> ModelInfo:
    """A float32 model with one channel in and `classes` out."""
    tensors = [
        TensorInfo(name, np.dtype(np.float32), "FP32", (channels, *window))
        for name, channels in (("INPUT", 1), ("OUTPUT", classes))
    ]
    return ModelInfo("many", "1", "python", tensors[0], tensors[1], max_batch)
