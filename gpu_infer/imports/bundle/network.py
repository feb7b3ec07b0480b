"""The ONNX file of a bundle, and what its tensors say about windows and channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.repository.entry import Tensor
from gpu_infer.repository.graph import read_graph


def onnx_file(bundle: Path, given: Path | None) -> Path:
    """The file that is given, models/model.onnx, or the only ONNX file in models.

    Raises ConfigError without one, with the command that writes it.
    """
    if given is not None:
        return given
    folder = bundle / "models"
    files = sorted(folder.glob("*.onnx"))
    if folder / "model.onnx" in files:
        return folder / "model.onnx"
    if len(files) == 1:
        return files[0]
    if files:
        names = ", ".join(path.name for path in files)
        raise ConfigError(f"{folder}: found {names}, expected one ONNX file", remedy="give --onnx FILE")
    raise ConfigError(
        f"{folder}: there is no ONNX file, and the weights of model.pt and model.ts are not read",
        remedy="in an environment with monai, torch, fire and onnxscript: "
        "python -m monai.bundle onnx_export network_def --filepath "
        f"{folder / 'model.onnx'} --ckpt_file {folder / 'model.pt'} --meta_file {bundle / 'configs/metadata.json'} "
        f"--config_file {bundle / 'configs/inference.json'}; or give --onnx FILE, "
        "or --torchscript FILE for a Triton with the PyTorch backend",
    )


def network_channels(
    onnx: Path, inferer: dict[str, Any], files: Sequence[str], expected: int | None
) -> tuple[int | None, int | None]:
    """Channels of the network's input and output, None if they are dynamic, after a check of its tensors.

    inferer   the translated inferer section
    files     patterns of the files of one input channel each
    expected  channels of the output in the metadata, None if it does not name them

    Raises ConfigError if they do not agree.
    """
    graph = read_graph(onnx)
    roi = inferer["args"].get("roi_size")
    spatial = 3 if roi is None else len(roi)
    for role, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if len(tensors) != 1:
            raise ConfigError(
                f"{onnx}: found the {role} {', '.join(tensor.name for tensor in tensors)}, expected one",
                remedy="export the network with the image as its input and the scores as its output, nothing else",
            )
    source, result = graph.inputs[0], graph.outputs[0]
    for tensor in (source, result):
        if len(tensor.dims) != spatial + 2:
            raise ConfigError(
                f"{onnx}: {tensor.name} has dims {list(tensor.dims)}, expected batch, channels and {spatial} "
                "spatial axes",
                remedy="export the network of this bundle",
            )
    if roi is not None and any(size not in (-1, window) for size, window in zip(source.dims[2:], roi, strict=True)):
        raise ConfigError(
            f"{onnx}: {source.name} has dims {list(source.dims)}, but roi_size of the bundle is {roi}",
            remedy="export the network with dynamic spatial axes, or with this size",
        )
    channels = None if source.dims[1] == -1 else source.dims[1]
    if files and channels is not None and len(files) != channels:
        raise ConfigError(
            f"--files: found {len(files)}, but {source.name} of {onnx} has {channels} channels",
            remedy="give one pattern for each",
        )
    return channels, _agreed(onnx, result, expected)


def _agreed(onnx: Path, result: Tensor, expected: int | None) -> int | None:
    channels = result.dims[1]
    if channels == -1:
        return expected
    if expected is not None and channels != expected:
        raise ConfigError(
            f"{onnx}: {result.name} has {channels} channels, num_channels of pred in metadata.json is {expected}",
            remedy="give the network of this bundle as --onnx",
        )
    return channels
