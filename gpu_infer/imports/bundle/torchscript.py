"""The TorchScript file of a bundle, whose tensors metadata.json describes: the file does not."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.files import read_document


def check_torchscript(path: Path) -> None:
    """Raise ConfigError unless the file is TorchScript: an archive with code, which a checkpoint lacks."""
    names: list[str] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    if not any("/code/" in name for name in names):
        raise ConfigError(
            f"--torchscript: {path} has no TorchScript code, expected a file such as model.ts",
            remedy="write it with python -m monai.bundle ckpt_export network_def, or export the network to ONNX",
        )


def network_dims(
    metadata: Path, inferer: dict[str, Any], files: Sequence[str], outputs: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Dims of input and output without the batch axis: channels, and a dynamic size for each spatial axis.

    inferer  the translated inferer section
    files    patterns of the files of one input channel each
    outputs  channels of the output in the metadata

    Raises ConfigError without a number of channels, or with another number of files.
    """
    inputs = _input_channels(metadata)
    for key, count in (("inputs.image", inputs), ("outputs.pred", outputs)):
        if count is None:
            raise ConfigError(
                f"{metadata}: network_data_format.{key}.num_channels is missing, expected the number of channels",
                remedy="add it, or give the network as --onnx",
            )
    assert inputs is not None
    assert outputs is not None
    if files and len(files) != inputs:
        raise ConfigError(
            f"--files: found {len(files)}, but the image in {metadata} has {inputs} channels",
            remedy="give one pattern for each",
        )
    sizes = (-1,) * len(inferer["args"].get("roi_size", (0, 0, 0)))
    return (inputs, *sizes), (outputs, *sizes)


def _input_channels(metadata: Path) -> int | None:
    node: Any = read_document(metadata) if metadata.is_file() else None
    for key in ("network_data_format", "inputs", "image", "num_channels"):
        node = node.get(key) if isinstance(node, dict) else None
    if node is not None and (type(node) is not int or node < 1):
        raise ConfigError(
            f"{metadata}: network_data_format.inputs.image.num_channels: found {node!r}, expected a number from 1 on",
            remedy="correct the bundle",
        )
    return node
