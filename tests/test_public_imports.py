"""The import paths that users write in their files and programs."""

from __future__ import annotations

from importlib import import_module

import pytest

NAMES = [
    ("gpu_infer", "sliding_window_inference"),
    ("gpu_infer", "zoom"),
    ("gpu_infer", "__version__"),
    ("gpu_infer.app", "run"),
    ("gpu_infer.app", "RunResult"),
    ("gpu_infer.settings", "Settings"),
    ("gpu_infer.progress", "Progress"),
    ("gpu_infer.errors", "GpuInferError"),
    ("gpu_infer.errors", "ConfigError"),
    ("gpu_infer.errors", "InputError"),
    ("gpu_infer.errors", "ServerError"),
    ("gpu_infer.errors", "ModelError"),
    ("gpu_infer.errors", "DeadlineError"),
    ("gpu_infer.errors", "ResourceError"),
    ("gpu_infer.errors", "DeviceError"),
    ("gpu_infer.errors", "Interrupted"),
    ("gpu_infer.logs", "StderrHandler"),  # copied logging_config.json files name it
    ("gpu_infer.transforms.base", "Pointwise"),
    ("gpu_infer.transforms.base", "Measured"),
    ("gpu_infer.transforms.base", "Barrier"),
    ("gpu_infer.transforms.base", "Regrid"),
    ("gpu_infer.transforms.base", "Crop"),
    ("gpu_infer.transforms.base", "FieldsArguments"),
    ("gpu_infer.transforms.arguments", "Arguments"),
    ("gpu_infer.transforms.arguments", "Number"),
    ("gpu_infer.transforms.arguments", "PositiveTriple"),
    ("gpu_infer.transforms.arguments", "Names"),
    ("gpu_infer.transforms.field", "FieldState"),
    ("gpu_infer.inferers.base", "Inferer"),
    ("gpu_infer.inferers.context", "ContextInferer"),
    ("gpu_infer.inferers.base", "Model"),
    ("gpu_infer.inferers.base", "ModelSizes"),
    ("gpu_infer.writers.base", "Writer"),
    ("gpu_infer.writers.base", "LabelResult"),
    ("gpu_infer.backends.base", "Backend"),
    ("gpu_infer.backends.base", "Array"),
    ("gpu_infer.backends.base", "Tables"),
    ("gpu_infer.backends.base", "Moments"),
    ("gpu_infer.backends.tables", "AxisTable"),
    ("gpu_infer.backends.tables", "ClampedAffine"),
]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_is_importable(module: str, name: str) -> None:
    assert getattr(import_module(module), name) is not None
