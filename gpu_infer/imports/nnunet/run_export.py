"""Run the export of networks in nnU-Net's environment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet import export_network
from gpu_infer.triton.client.failures import one_line
from gpu_infer.triton.local.follow import follow

OnLine = Callable[[str], None]

_REFUSED = 3
_MISSING = ("ModuleNotFoundError: ", "ImportError: ")


@dataclass(frozen=True)
class Exported:
    """What the checkpoints of a trained folder say.

    configuration, trainer  that were trained
    channels, heads         of the network's input and output
    patch_size              axes as in plans.json
    mirroring_axes          spatial axes of the tensors along which the trainer allows mirroring
    unpickled               checkpoints that could not be read with weights_only=True
    """

    configuration: str
    trainer: str
    channels: int
    heads: int
    patch_size: list[int]
    mirroring_axes: list[int]
    unpickled: list[str]
    versions: dict[str, str]


def run_export(
    python: Path, folder: Path, onnx: Path, folds: Sequence[str], checkpoint: str, flags: Sequence[str], on_line: OnLine
) -> Exported:
    """Write the ONNX file `onnx` of the folds' networks.

    flags  of export_network: --trust-checkpoint, --instance-normalization

    Raises ConfigError if the interpreter cannot be run or lacks a package, or if the script refuses the folder.
    """
    if not (python.is_file() and os.access(python, os.X_OK)):
        raise ConfigError(
            f"--python {python} is not a program", remedy="give bin/python of the environment that has nnunetv2"
        )
    facts = onnx.with_name("facts.json")
    command = [str(python), "-W", "ignore", export_network.__file__, str(folder), "--onnx", str(onnx)]
    command += ["--facts", str(facts), "--checkpoint", checkpoint, "--folds", *folds]
    code, lines = follow([*command, *flags], on_line)
    if code == 0 and facts.is_file():
        return Exported(**json.loads(facts.read_text(encoding="utf-8")))
    last = next((line for line in reversed(lines) if line.strip()), "")
    if code == _REFUSED and last.startswith("REFUSED "):
        raise ConfigError(one_line(last.removeprefix("REFUSED "), 600), remedy="nothing was written")
    if last.startswith(_MISSING):
        raise ConfigError(
            f"{python} cannot run nnU-Net: {one_line(last)}",
            remedy="give --python bin/python of the environment that the model was trained in",
        )
    raise ConfigError(f"{folder}: the export ended with exit code {code}: {one_line(last)}", remedy="see --debug")
