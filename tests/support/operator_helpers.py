"""Small volumes, configurations and runs for the tests of the whole operator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray

from gpu_infer.app import RunResult, run
from gpu_infer.settings import Settings


def config(model: str, *, resolution: tuple[float, ...] | None = None, **inferer: Any) -> dict[str, Any]:
    """A configuration with load, channels, optional resampling, model, argmax, copy, restore."""
    pre: list[dict[str, Any]] = [
        {"name": "LoadNifti", "args": {"fields": ["image"]}},
        {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
    ]
    if resolution is not None:
        pre.append({"name": "ScaleByResolution", "args": {"fields": "image", "target_resolution": list(resolution)}})
    return {
        "batch_size": 1,
        "pre_transforms": pre,
        "post_transforms": [
            {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
            {
                "name": "CopyProperties",
                "args": {"fields": ["model"], "from_field": "image", "properties": ["affine"]},
            },
            {
                "name": "RestoreOriginalShape",
                "args": {"field": "model", "src_field": "image", "is_label": True},
            },
        ],
        "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}],
        "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": model, **inferer}},
    }


def write_config(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_inference.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_nifti(path: Path, data: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def operate(root: Path, server: Any, content: dict[str, Any], **overrides: Any) -> RunResult:
    """Run the operator over root/input with `content` as its configuration; outputs go below `root`."""
    path = write_config(root / "config", content)
    options: dict[str, Any] = {
        "input": root / "input",
        "output": root / "output",
        "logs": root / "logs",
        "publish": "",
        "config": path,
        "wait_s": 30.0,
        "deadline_s": 60.0,
    }
    control = overrides.get("control", "grpc")
    environ = {"NVIDIA_TRITON_HTTPURI": server.http} if control == "http" else {"NVIDIA_TRITON_GRPCURI": server.grpc}
    return run(Settings.from_environment(environ, **(options | overrides)))


def regions(server: Any) -> list[str]:
    """Names of our shared-memory regions that the server still knows."""
    with triton.InferenceServerClient(server.grpc) as client:
        status = client.get_system_shared_memory_status(as_json=True)
    return [name for name in status.get("regions", {}) if name.startswith("gpu_infer-")]
